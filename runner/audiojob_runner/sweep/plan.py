"""What may be removed from a store: a plain function of what lies there, of the AudioJobs that exist, and the time.

Everything that is not surely useless stays. A job's folder goes only when its results have expired *and* its AudioJob
has been absent for days; so does an attempt whose files only served later phases, while the job's results may stay; an
attempt goes when it never published; and no pass removes more than a share of the store.
What a download had received is not part of that share: it is never a result, and can be larger than all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from audiojob_runner.sweep.index import SeenJob
from audiojob_runner.sweep.uploads import UploadUses

DEFAULT_UNFINISHED: Final = timedelta(hours=24)
DEFAULT_ABSENT: Final = timedelta(days=7)
DEFAULT_PERCENT: Final = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How careful a pass is. ``percent`` is of the store's bytes, without remnants, and of its job folders, each."""

    unfinished: timedelta = DEFAULT_UNFINISHED
    absent: timedelta = DEFAULT_ABSENT
    percent: int = DEFAULT_PERCENT


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """An attempt's folder, ``<namespace>/<uid>/<phase>/<attempt>-<pod>``. ``newest``: when it was last written to.

    ``expires`` is its manifest's; None is for ever, as a manifest that cannot be read is. ``intermediate``: its files
    only served later phases. ``remnant_bytes`` of all ``bytes`` are what a download left for a next attempt.
    """

    folder: str
    bytes: int
    newest: datetime
    published: bool
    expires: datetime | None = None
    remnant_bytes: int = 0
    intermediate: bool = False


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job's folder. ``absent_since`` is what earlier passes noted; ``other_bytes`` lie beside the attempts."""

    folder: str
    attempts: tuple[StoredAttempt, ...]
    absent_since: datetime | None = None
    other_bytes: int = 0

    @property
    def uid(self) -> str:
        """The AudioJob's uid."""
        return self.folder.rpartition("/")[2]

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.other_bytes + sum(attempt.bytes for attempt in self.attempts)

    @property
    def remnant_bytes(self) -> int:
        """What downloads left for a next attempt."""
        return sum(attempt.remnant_bytes for attempt in self.attempts)

    @property
    def expires(self) -> datetime | None:
        """When the last of its results expires; None if one is kept for ever, or there is none."""
        moments = [attempt.expires for attempt in self.attempts if attempt.published]
        known = [moment for moment in moments if moment is not None]
        return max(known) if moments and len(known) == len(moments) else None


@dataclass(frozen=True, slots=True)
class LiveJobs:
    """The AudioJobs that exist, finished ones too. ``references`` are keys that their status names, wherever they lie.

    ``unfinished`` are uids of those that still run or wait. ``seen`` by uid is for the index alone.
    """

    uids: frozenset[str]
    references: frozenset[str] = frozenset()
    unfinished: frozenset[str] = frozenset()
    seen: Mapping[str, SeenJob] = field(default_factory=dict)
    uploads: UploadUses = field(default_factory=UploadUses)

    def refer_to(self, folder: str) -> bool:
        """Whether any of them names something in that folder."""
        return any(key.startswith(f"{folder}/") for key in self.references)


class Kind(StrEnum):
    """What is removed."""

    ATTEMPT = "attempt"
    JOB = "job"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Removal:
    """A folder to remove, and why. ``remnant_bytes`` of all ``bytes`` are no part of a pass's share."""

    kind: Kind
    folder: str
    bytes: int
    why: str
    remnant_bytes: int = 0

    @property
    def counted_bytes(self) -> int:
        """What it takes of the share."""
        return self.bytes - self.remnant_bytes


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a pass does. ``held_back`` would go too, but for the share that one pass may remove.

    ``mark`` are folders of jobs seen to be absent for the first time, ``unmark`` of those that are there again.
    """

    removals: tuple[Removal, ...] = ()
    held_back: tuple[Removal, ...] = ()
    mark: tuple[str, ...] = ()
    unmark: tuple[str, ...] = ()


def plan_sweep(stored: tuple[StoredJob, ...], live: LiveJobs, limits: Limits, now: datetime) -> SweepPlan:
    """The pass. Pure: the same arguments always give the same plan."""
    wanted = [
        *_attempts(stored, live, limits, now),
        *_intermediates(stored, live, limits, now),
        *_jobs(stored, live, limits, now),
    ]
    total = sum(job.bytes - job.remnant_bytes for job in stored)
    bytes_left = total * limits.percent // 100
    folders_left = len(stored) * limits.percent // 100
    removals, held_back = [], []
    for removal in wanted:
        takes_folder = removal.kind is Kind.JOB
        if removal.counted_bytes > bytes_left or (takes_folder and folders_left < 1):
            held_back.append(removal)
            continue
        bytes_left -= removal.counted_bytes
        folders_left -= takes_folder
        removals.append(removal)
    gone = {removal.folder for removal in removals}
    return SweepPlan(
        removals=tuple(removals),
        held_back=tuple(held_back),
        mark=tuple(job.folder for job in stored if _to_be_marked(job, live)),
        unmark=tuple(
            job.folder
            for job in stored
            if job.absent_since is not None and job.uid in live.uids and job.folder not in gone
        ),
    )


def _attempts(stored: tuple[StoredJob, ...], live: LiveJobs, limits: Limits, now: datetime) -> Iterator[Removal]:
    """Attempts that never published, the oldest first. Those of a job that goes as a whole are not among them."""
    whole = {removal.folder for removal in _jobs(stored, live, limits, now)}
    found = [
        attempt
        for job in stored
        if job.folder not in whole and job.uid not in live.unfinished
        for attempt in job.attempts
        if not attempt.published and now - attempt.newest > limits.unfinished and not live.refer_to(attempt.folder)
    ]
    for attempt in sorted(found, key=lambda each: (each.newest, each.folder)):
        why = f"it has no manifest, and nothing was written to it since {attempt.newest:%Y-%m-%dT%H:%MZ}"
        yield Removal(Kind.ATTEMPT, attempt.folder, attempt.bytes, why, attempt.remnant_bytes)


def _intermediates(stored: tuple[StoredJob, ...], live: LiveJobs, limits: Limits, now: datetime) -> Iterator[Removal]:
    """Attempts whose files only served later phases, the first expired first. The rules are those of a job's folder."""
    whole = {removal.folder for removal in _jobs(stored, live, limits, now)}
    found = [
        (attempt.expires, attempt)
        for job in stored
        if job.folder not in whole and job.uid not in live.uids and _absent_long(job, limits, now)
        for attempt in job.attempts
        if attempt.intermediate
        and attempt.published
        and attempt.expires is not None
        and attempt.expires <= now
        and now - attempt.newest > limits.unfinished
        and not live.refer_to(attempt.folder)
    ]
    for expires, attempt in sorted(found, key=lambda each: (each[0], each[1].folder)):
        why = f"only later phases read it, it expired at {expires:%Y-%m-%dT%H:%MZ}, and its AudioJob is absent"
        yield Removal(Kind.ATTEMPT, attempt.folder, attempt.bytes, why, attempt.remnant_bytes)


def _absent_long(job: StoredJob, limits: Limits, now: datetime) -> bool:
    return job.absent_since is not None and now - job.absent_since >= limits.absent


def _jobs(stored: tuple[StoredJob, ...], live: LiveJobs, limits: Limits, now: datetime) -> Iterator[Removal]:
    """Folders of jobs whose results have expired and which have been absent long enough, the first expired first."""
    found = [
        (job.expires, job.absent_since, job)
        for job in stored
        if job.expires is not None
        and job.expires <= now
        and _absent_long(job, limits, now)
        and job.uid not in live.uids
        and not live.refer_to(job.folder)
        and all(now - attempt.newest > limits.unfinished for attempt in job.attempts)
    ]
    for expires, since, job in sorted(found, key=lambda each: (each[0], each[2].folder)):
        why = f"its results expired at {expires:%Y-%m-%dT%H:%MZ}, and its AudioJob is absent since {since:%Y-%m-%d}"
        yield Removal(Kind.JOB, job.folder, job.bytes, why, job.remnant_bytes)


def _to_be_marked(job: StoredJob, live: LiveJobs) -> bool:
    """Only what may expire some day: nothing else ever asks since when a job is absent."""
    may_expire = job.expires is not None or any(each.intermediate and each.expires is not None for each in job.attempts)
    return job.absent_since is None and may_expire and job.uid not in live.uids
