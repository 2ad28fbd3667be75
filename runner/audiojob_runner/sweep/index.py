"""The index: from the day and the name of a job to its folder in the store, also when its AudioJob is gone.

``<namespace>/index/<day of the first manifest>/<job>-<first 8 of its uid>.json``: one small object for each job that
has published, derived from manifests and from the AudioJob while it exists. It is for people: nothing decides by it.
Pure; the sweeper reads and writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import Field, ValidationError

from audiojob_runner.store.inventory import StoredObject
from audiojob_types.base import StatusModel, Time
from audiojob_types.contract import Manifest

FOLDER: Final = "index"
MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_ATTEMPTS: Final = 64  # of one job
MAX_OUTPUTS: Final = 24  # of one attempt; its manifest lists all
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY: Final = re.compile(rf"[^/]+/{FOLDER}/\d{{4}}-\d\d-\d\d/[a-z0-9][-a-z0-9]*-[0-9a-f]{{8}}\.json")


class IndexedOutput(StatusModel):
    """One published file."""

    name: str
    file: str
    media_type: str
    bytes: int


class IndexedAttempt(StatusModel):
    """What one attempt published. ``outputs`` are the first of ``count``."""

    phase: str
    folder: str
    count: int
    outputs: tuple[IndexedOutput, ...] = ()
    created_time: Time
    expires_time: Time | None = None


class JobIndex(StatusModel):
    """One job. ``state`` is the last one that the sweeper saw; absent: it never saw the AudioJob."""

    job: str
    namespace: str
    uid: str
    folder: str
    pipeline: str | None = None
    state: Annotated[str, Field(max_length=63)] | None = None
    attempts: tuple[IndexedAttempt, ...]


@dataclass(frozen=True, slots=True)
class SeenJob:
    """What the list of AudioJobs said of one."""

    pipeline: str
    state: str
    completed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What is kept of a manifest while a pass goes on: a bounded part of it."""

    job: str
    pipeline: str | None
    intermediate: bool
    attempt: IndexedAttempt


@dataclass(frozen=True, slots=True)
class Entry:
    """A job's index before it is written. ``newest``: when the last of its manifests was written to the store."""

    key: str
    job: JobIndex
    newest: datetime


def note(manifest: Manifest, folder: str) -> Noted:
    """The part of a manifest that a pass keeps; ``folder`` is that of its attempt."""
    outputs = tuple(
        IndexedOutput(name=each.name, file=each.file, media_type=each.media_type[:100], bytes=each.bytes)
        for each in manifest.outputs[:MAX_OUTPUTS]
    )
    attempt = IndexedAttempt(
        phase=manifest.phase[:12],
        folder=folder,
        count=len(manifest.outputs),
        outputs=outputs,
        created_time=_utc(manifest.created_time),
        expires_time=_utc(manifest.expires_time) if manifest.expires_time is not None else None,
    )
    # A manifest says what it likes; what becomes part of a key must be a name.
    name = manifest.job if _NAME.fullmatch(manifest.job) else "job"
    pipeline = manifest.pipeline if manifest.pipeline and _NAME.fullmatch(manifest.pipeline) else None
    return Noted(name, pipeline, manifest.intermediate, attempt)


def index_job(
    folder: str, notes: Sequence[Noted], newest: datetime, seen: SeenJob | None, keys: Mapping[str, str]
) -> Entry | None:
    """The index of a job's folder; None where nothing was published. A job that is in :func:`keys_by_file` keeps its
    key, though its first manifest may be gone.
    """
    if not notes:
        return None
    namespace, _, uid = folder.partition("/")
    ordered = sorted(notes, key=lambda each: (each.attempt.created_time, each.attempt.folder))
    first = ordered[0]
    pipeline = next((each.pipeline for each in ordered if each.pipeline), None)
    job = JobIndex(
        job=first.job,
        namespace=namespace,
        uid=uid,
        folder=folder,
        pipeline=seen.pipeline if seen is not None else pipeline,
        state=seen.state if seen is not None else None,
        attempts=tuple(each.attempt for each in ordered[:MAX_ATTEMPTS]),
    )
    file = f"{first.job}-{uid[:8]}.json"
    day = first.attempt.created_time.strftime("%Y-%m-%d")
    return Entry(key=keys.get(file, f"{namespace}/{FOLDER}/{day}/{file}"), job=job, newest=newest)


def keys_by_file(stored: Iterable[str]) -> dict[str, str]:
    """Keys of the index by the name of their file; of two, the first day's."""
    return {key.rpartition("/")[2]: key for key in sorted(stored, reverse=True) if _KEY.fullmatch(key)}


def outdated(entry: Entry, stored: StoredObject | None, seen: SeenJob | None) -> bool:
    """Whether the entry must be written: what is stored is older than what it tells of."""
    if stored is None:
        return True
    completed = seen.completed if seen is not None else None
    return stored.written <= max(entry.newest, _utc(completed) if completed is not None else entry.newest)


def with_last_state(entry: Entry, before: bytes | None) -> JobIndex:
    """The record to write. What an earlier pass knew of an AudioJob that is gone now is kept."""
    if entry.job.state is not None or before is None:
        return entry.job
    try:
        known = JobIndex.read(before)
    except ValidationError:
        return entry.job
    return entry.job.model_copy(update={"state": known.state, "pipeline": entry.job.pipeline or known.pipeline})


def strays(stored: Iterable[str], wanted: frozenset[str]) -> list[str]:
    """Index objects of jobs whose folder is gone. Only keys of our own form: people may keep files beside them."""
    return [key for key in stored if key not in wanted and _KEY.fullmatch(key)]


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
