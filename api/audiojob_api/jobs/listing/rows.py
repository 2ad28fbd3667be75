"""A job of the read model: what lists, queues and the archive look at, in slots, and the job itself packed.

Whole dicts of 50,000 jobs would be 600 MB, and every full garbage collection would stop all clients for 0.4 s.
"""

from __future__ import annotations

import ctypes
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from audiojob_api.jobs.idempotency import ANNOTATION_REQUEST
from audiojob_types.constants import (
    ANNOTATION_ARCHIVED,
    CONDITION_ADMITTED,
    CONDITION_PROGRESSING,
    DEFAULT_QUEUE,
    LABEL_BATCH,
    LABEL_USER,
)
from audiojob_types.contract import Device
from audiojob_types.ordering import DEFAULT_PRIORITY
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES, PhaseState, State

Object = dict[str, Any]

MOVING: Final = frozenset({Reason.WAITING_FOR_OPERATOR, Reason.QUEUE_FULL, Reason.WAITING_FOR_GPU})
"""These jobs wait for their turn alone: others wait behind them, and their start can be estimated."""
# A queue on hold keeps its order, but there is no telling when it goes on.
_QUEUED: Final = MOVING | {Reason.HELD}
_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp")
_LONGEST_MARK: Final = 256
# As msgspec's gc=False: a row refers to nothing that could refer back to it, so no collection need look into it. All
# rows of 50,000 jobs would stop every client for 30 ms.
_untrack: Final = ctypes.pythonapi.PyObject_GC_UnTrack
_untrack.argtypes, _untrack.restype = [ctypes.py_object], None
_LEVEL: Final = 1  # a third of the text, in a fifth of the time of the best level
# An ordinary job needs no window of 32 KiB: to make the room for one took ten times as long as the rest.
_SMALL_BYTES: Final = 8_192
_SMALL_ROOM: Final = (13, 6)
"""The window is 2 to the 13th bytes; the tables for it are as much smaller."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job at one version. Times are milliseconds since 1970, UTC; ``packed`` is the job as answers show it."""

    uid: str
    namespace: str
    name: str
    state: str
    pipeline: str
    queue: str
    user: str | None
    batch: str | None
    labels: tuple[tuple[str, str], ...]
    priority: int
    created: int
    started: int | None
    finished: int | None
    not_before: int | None
    device: Device | None
    in_line: str
    """Why the job waits, where a queue keeps it; the reason of its Admitted condition."""
    holds_slot: bool
    held_back: bool
    """Suspended or cancelled by its spec."""
    on_gpu: bool
    waits_for_gpu_again: bool
    request: str
    """The mark of the request that made it; "" for none."""
    archived: bool
    packed: bytes

    def __post_init__(self) -> None:
        _untrack(self)

    def unpack(self) -> Object:
        """The job, a copy that the caller may change."""
        found: Object = orjson.loads(zlib.decompress(self.packed))
        return found

    @property
    def has_ended(self) -> bool:
        """Whether the job can never change again."""
        return self.state in FINISHED_STATES

    def is_in_line(self, now_ms: int) -> bool:
        """Whether nothing but the queue keeps the job from starting."""
        return (
            self.state in (State.PENDING, State.QUEUED)
            and self.in_line in _QUEUED
            and not self.held_back
            and (self.not_before is None or self.not_before <= now_ms)
        )


def kept(job: Object, label_keys: tuple[str, ...] = ()) -> Object:
    """A job as far as an answer reads it. Labels and annotations of others, of any size, are not kept."""
    metadata = job["metadata"]
    small = {key: metadata[key] for key in _METADATA if key in metadata}
    for part, names in (("labels", (LABEL_USER, LABEL_BATCH, *label_keys)), ("annotations", (ANNOTATION_REQUEST,))):
        values = metadata.get(part) or {}
        marks = {name: values[name] for name in names if len(values.get(name, "x" * 999)) <= _LONGEST_MARK}
        if marks:
            small[part] = marks
    return {"metadata": small, "spec": job.get("spec") or {}, "status": job.get("status") or {}}


def row_of(job: Object, label_keys: tuple[str, ...] = (), *, pack: bool = True) -> JobRow:
    """The row of a job. Without ``pack`` it serves for comparing only, and costs a tenth."""
    metadata, spec, status = job["metadata"], job.get("spec") or {}, job.get("status") or {}
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    state, reason = _word(status.get("state"), State.PENDING), _admitted(status)
    return JobRow(
        uid=metadata.get("uid", ""),
        namespace=_word(metadata.get("namespace"), ""),
        name=metadata["name"],
        state=state,
        pipeline=_word(spec.get("pipeline"), ""),
        queue=_word(spec.get("queueName"), DEFAULT_QUEUE),
        user=_mark(labels.get(LABEL_USER)),
        batch=_mark(labels.get(LABEL_BATCH)),
        labels=tuple((key, labels[key]) for key in label_keys if _mark(labels.get(key)) is not None),
        priority=spec.get("priority", DEFAULT_PRIORITY),
        created=milliseconds(metadata.get("creationTimestamp")) or 0,
        started=milliseconds(status.get("startTime")),
        finished=milliseconds(status.get("completionTime")),
        not_before=milliseconds(spec.get("startTime")),
        device=_device(state, spec, status, reason),
        in_line=reason,
        holds_slot=_condition(status, CONDITION_ADMITTED).get("status") == "True" or state == State.RUNNING,
        held_back=bool(spec.get("suspend") or spec.get("cancel")),
        on_gpu=_is_on_gpu(status),
        waits_for_gpu_again=_condition(status, CONDITION_PROGRESSING).get("reason") == Reason.WAITING_FOR_GPU,
        request=_mark(annotations.get(ANNOTATION_REQUEST)) or "",
        archived=ANNOTATION_ARCHIVED in annotations,
        packed=pack_job(kept(job, label_keys)) if pack else b"",
    )


def pack_job(job: Mapping[str, Any]) -> bytes:
    """A job as bytes: JSON through zlib."""
    text = orjson.dumps(job)
    if len(text) > _SMALL_BYTES:
        return zlib.compress(text, _LEVEL)
    small = zlib.compressobj(_LEVEL, zlib.DEFLATED, *_SMALL_ROOM)
    return small.compress(text) + small.flush()


def milliseconds(text: object) -> int | None:
    """A stored time as milliseconds since 1970; None for what is none. Without a zone it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


def moment(when: int) -> datetime:
    """The time of so many milliseconds."""
    return datetime.fromtimestamp(when / 1_000, UTC)


def _mark(value: object) -> str | None:
    return sys.intern(value) if isinstance(value, str) and len(value) <= _LONGEST_MARK else None


def _word(value: object, default: str) -> str:
    """A text that many jobs have, once in memory."""
    return sys.intern(str(value) if isinstance(value, str) else str(default))


def _condition(status: Object, kind: str) -> Object:
    return next((each for each in status.get("conditions", ()) if each.get("type") == kind), {})


def _admitted(status: Object) -> str:
    return _word(_condition(status, CONDITION_ADMITTED).get("reason"), Reason.WAITING_FOR_OPERATOR)


def _is_on_gpu(status: Object) -> bool:
    return any(
        phase.get("state") == PhaseState.RUNNING and phase.get("device") == Device.GPU
        for phase in status.get("phases", ())
    )


def _device(state: str, spec: Object, status: Object, reason: str) -> Device | None:
    """GPU if it waits for one or any phase ran on one, else what the job asks for; None where that is not known yet."""
    used = {phase.get("device") for phase in status.get("phases", ())}
    asked = spec.get("device")
    if Device.GPU in used or asked == Device.GPU or reason == Reason.WAITING_FOR_GPU:
        return Device.GPU
    known = state in FINISHED_STATES or asked == Device.CPU
    return Device.CPU if known else None
