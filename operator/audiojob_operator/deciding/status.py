"""The status that a decision amounts to, and the JSON Patch that makes the stored one so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Object
from audiojob_operator.records.workers import is_told_ahead
from audiojob_types import constants as c
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import AudioJob, AudioJobStatus, Condition, JobError, PhaseState, State
from audiojob_types.resources.state import derive_state

# The runner's keys: percent is raised at phase ends only, progress is never touched.
_NOT_OURS: Final = frozenset({"percent", "progress"})
_OURS: Final = tuple(
    key for name, field in AudioJobStatus.model_fields.items() if (key := field.alias or name) not in _NOT_OURS
)


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a job stands: its state, why (one of the documented reasons), and a sentence for people.

    ``waiting_for`` is the AudioJob whose end it waits for, ``waiting_since`` when it began to wait for this reason.
    """

    state: State
    reason: str
    message: str
    admitted: bool
    error: JobError | None = None
    waiting_for: str | None = None
    waiting_since: datetime | None = None


def is_finished(job: AudioJob) -> bool:
    """Whether the job can never change again."""
    return derive_state(job.status.conditions).finished


def holds_slot(job: AudioJob) -> bool:
    """Whether the job was admitted and has neither finished nor been suspended since."""
    conditions = {condition.type: condition.status for condition in job.status.conditions}
    return conditions.get(c.CONDITION_ADMITTED) == "True" and not is_finished(job)


def conditions_for(
    situation: Situation, old: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """All five conditions. lastTransitionTime moves only where the status flips."""
    before = {condition.type: condition for condition in old}
    facts = (
        (c.CONDITION_COMPLETE, situation.state is State.SUCCEEDED),
        (c.CONDITION_FAILED, situation.state in (State.FAILED, State.CANCELLED)),
        (c.CONDITION_ADMITTED, situation.admitted),
        (c.CONDITION_SUSPENDED, situation.state is State.SUSPENDED),
        (c.CONDITION_PROGRESSING, situation.state is State.RUNNING),
    )
    made = []
    for kind, holds in facts:
        status: Literal["True", "False"] = "True" if holds else "False"
        same = kind in before and before[kind].status == status
        reason, message = situation.reason, situation.message if holds else ""
        if kind == c.CONDITION_ADMITTED and holds:
            reason, message = Reason.ADMITTED, EXPLANATIONS[Reason.ADMITTED].meaning
        made.append(
            Condition(
                type=kind,
                status=status,
                observed_generation=generation,
                last_transition_time=before[kind].last_transition_time if same else now,
                reason=reason,
                message=clip(message),
            )
        )
    return tuple(made)


def status_patch(
    uid: str, raw: Mapping[str, Any], new: AudioJobStatus, percent: int, version: str = ""
) -> tuple[Object, ...] | None:
    """The JSON Patch from the stored status ``raw`` to ``new``; None if there is nothing to write.

    Its tests make the API server refuse it (422) where the object is another one or has moved on. ``percent`` is
    written only if it is higher than the stored one, and only over that one: a runner may have raised it meanwhile.
    Where a phase is taken from a worker that has reported nothing, the object must be of that ``version``: a report
    that came meanwhile counts. What workers have reported goes once it is recorded.
    Nodes are worth no write of their own: while a phase runs, its runner reports the node with its progress.
    """
    wire = {key: value for key, value in new.to_wire().items() if key not in _NOT_OURS and value != []}
    if not raw:
        return (_test("/metadata/uid", uid), {"op": "add", "path": "/status", "value": {**wire, "percent": percent}})
    changes: list[Object] = [
        {"op": "add", "path": f"/status/{key}", "value": value} for key, value in wire.items() if raw.get(key) != value
    ]
    changes += [{"op": "remove", "path": f"/status/{key}"} for key in _OURS if key in raw and key not in wire]
    stored = raw.get("percent", 0)
    stored_percent = stored if isinstance(stored, int) else 0
    tested = ["state", "phases"]
    if percent > stored_percent:
        changes.append({"op": "add", "path": "/status/percent", "value": percent})
        tested.append("percent")
    if not changes or (percent <= stored_percent and _without_nodes(raw) == _without_nodes(wire)):
        return None
    tests = [_test(f"/status/{key}", raw[key]) for key in tested if key in raw]
    if version and _is_taken_unheard(raw, new):
        tests.append(_test("/metadata/resourceVersion", version))
    return (_test("/metadata/uid", uid), *tests, *changes, *_without_results(raw, new))


def _is_taken_unheard(raw: Mapping[str, Any], new: AudioJobStatus) -> bool:
    """Whether a worker loses a phase of which it has reported no end."""
    reports, still = raw.get("progress") or {}, _with_workers(new)
    return any(
        record.get("podUID")
        and (record.get("state") == PhaseState.RUNNING or is_told_ahead(record))
        and (record["name"], record.get("attempt")) not in still
        and not (reports.get(record["name"]) or {}).get("result")
        for record in raw.get("phases") or ()
    )


def _without_results(raw: Mapping[str, Any], new: AudioJobStatus) -> Iterable[Object]:
    """Take away what workers have reported, but for attempts that they still have."""
    still = _with_workers(new)
    for phase, report in (raw.get("progress") or {}).items():
        result = report.get("result") if isinstance(report, Mapping) else None
        if result is not None and (phase, report.get("attempt")) not in still:
            path = f"/status/progress/{phase}/result"
            yield _test(path, result)
            yield {"op": "remove", "path": path}


def _with_workers(status: AudioJobStatus) -> frozenset[tuple[str, int]]:
    """The attempts that workers have, or are told ahead."""
    return frozenset((each.name, each.attempt) for each in status.phases if each.with_worker)


def _test(path: str, value: object) -> Object:
    return {"op": "test", "path": path, "value": value}


def _without_nodes(status: Mapping[str, Any]) -> Object:
    told = {key: status[key] for key in _OURS if key in status and key != "nodeName"}
    told["phases"] = [
        {key: value for key, value in phase.items() if key != "nodeName"} for phase in told.get("phases", ())
    ]
    return told
