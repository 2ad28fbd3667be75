"""Who has done which work, and who is at it: hints by reuse key, made from the AudioJobs that pass by.

Nothing here is a truth of its own: a donor is read again before its result is taken, and all of it comes back after a
restart, from the watch and from the pages of the sweep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from audiojob_operator.records.objects import Key, Object
from audiojob_operator.records.workers import is_told_ahead
from audiojob_operator.state.listener import WorkKey
from audiojob_types.resources.job import FINISHED_STATES, PhaseState

_FINISHED: Final = frozenset(str(state) for state in FINISHED_STATES)
_SLACK: Final = 1.25  # how much more is held before the oldest are let go: sorting is not done for each


@dataclass(frozen=True, slots=True)
class Hint:
    """A job that has done the work, and when: times of status sort as text."""

    job: str
    finished: str


class ReuseIndex:
    """For one event loop. ``wake(key)`` is called for a job whose wait for another's work may be over.

    Holds the newest ``most`` finished phases, whatever the number of finished jobs.
    """

    def __init__(self, wake: Callable[[Key], None], most: int = 10_000) -> None:
        self._wake = wake
        self._most = most
        self._donors: dict[WorkKey, Hint] = {}
        self._oldest = ""  # nothing older is taken up: it was let go before
        self._running: defaultdict[WorkKey, dict[Key, str]] = defaultdict(dict)  # what holds it up
        self._running_of: dict[Key, dict[str, str]] = {}
        self._waiters: defaultdict[WorkKey, dict[Key, None]] = defaultdict(dict)
        self._waits_of: dict[Key, set[WorkKey]] = {}

    def __len__(self) -> int:
        """How many finished phases are known."""
        return len(self._donors)

    # ---------------------------------------------------------------- what passes by

    def seen(self, key: Key, obj: Object) -> None:
        """Take over what one version of an AudioJob, the newest known, says of its phases."""
        self.learn(key, obj)
        for record in _known_work(obj):
            reuse_key = record["reuseKey"]
            if not _is_at_work(record) and reuse_key not in self._running_of.get(key, {}):
                self._wake_waiters((key[0], reuse_key))  # its Job ended while nobody looked
        running: dict[str, str] = {}
        if (obj.get("status") or {}).get("state") not in _FINISHED:
            at_work = filter(_is_at_work, _known_work(obj))
            running = {record["reuseKey"]: record.get("reason") or "" for record in at_work}
        self._set_running(key, running)

    def learn(self, key: Key, obj: Object) -> None:
        """Take over what an AudioJob, perhaps not the newest version, has finished."""
        for record in _known_work(obj):
            if record.get("state") == PhaseState.SUCCEEDED and record.get("manifest"):
                self._add((key[0], record["reuseKey"]), Hint(key[1], record.get("completionTime") or ""))

    def gone(self, key: Key) -> None:
        """The AudioJob does not exist any more; that it was a donor turns out when it is read."""
        self._set_running(key, {})
        self.forget_waits(key)

    def _add(self, work: WorkKey, hint: Hint) -> None:
        known = self._donors.get(work)
        if hint.finished < self._oldest or (known is not None and known.finished > hint.finished):
            return
        self._donors[work] = hint
        if len(self._donors) > self._most * _SLACK:
            newest = sorted(self._donors.items(), key=lambda item: item[1].finished, reverse=True)[: self._most]
            self._oldest = newest[-1][1].finished
            self._donors = dict(newest)

    def _set_running(self, key: Key, running: dict[str, str]) -> None:
        before = self._running_of.get(key, {})
        if before == running:
            return
        for reuse_key in before.keys() - running.keys():
            work = (key[0], reuse_key)
            self._running[work].pop(key, None)
            if not self._running[work]:
                del self._running[work]
        for reuse_key, held in running.items():
            self._running[key[0], reuse_key][key] = held
        if running:
            self._running_of[key] = running
        else:
            self._running_of.pop(key, None)
        for reuse_key in before:
            if before[reuse_key] != running.get(reuse_key):
                self._wake_waiters((key[0], reuse_key))

    # ---------------------------------------------------------------- questions

    def donor(self, work: WorkKey) -> str | None:
        """The job that was the last to do the work, as far as is known."""
        hint = self._donors.get(work)
        return hint.job if hint is not None else None

    def drop(self, work: WorkKey, job: str) -> None:
        """That job turned out to be no donor of the work."""
        if self.donor(work) == job:
            del self._donors[work]

    def at_work(self, work: WorkKey, me: Key) -> Iterator[tuple[Key, str]]:
        """Other jobs whose attempt does the work, and what holds it up."""
        yield from [(key, held) for key, held in self._running.get(work, {}).items() if key != me]

    # ---------------------------------------------------------------- reconciles

    def wait(self, work: WorkKey, key: Key) -> None:
        """The job waits for those who do the work: it is woken when one of them ends or is held up."""
        self._waiters[work][key] = None
        self._waits_of.setdefault(key, set()).add(work)

    def forget_waits(self, key: Key) -> None:
        """The job is looked at anew."""
        for work in self._waits_of.pop(key, ()):
            self._waiters[work].pop(key, None)
            if not self._waiters[work]:
                del self._waiters[work]

    def unclaimed(self, work: WorkKey, key: Key, *, begun: bool) -> None:
        """A reconcile of the job that might have begun the work has ended. If it has not ``begun`` it, another may."""
        if key not in self._running.get(work, {}) and not begun:
            self._wake_waiters(work)

    def job_ended(self, work: WorkKey) -> None:
        """A Job that did the work has ended or is gone; if a status shows it, that status wakes the others later."""
        if work not in self._running:
            self._wake_waiters(work)

    def _wake_waiters(self, work: WorkKey) -> None:
        waiters: Iterable[Key] = tuple(self._waiters.get(work, ()))
        for key in waiters:
            self._wake(key)


def _is_at_work(record: Object) -> bool:
    """Whether an attempt does the work, or a worker begins it by itself next."""
    return record.get("state") == PhaseState.RUNNING or is_told_ahead(record)


def _known_work(obj: Object) -> list[Object]:
    """Records of phases whose work has a key."""
    return [record for record in (obj.get("status") or {}).get("phases") or () if record.get("reuseKey")]
