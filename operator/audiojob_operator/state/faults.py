"""AudioJobs on which the operator itself fails, by a fault of ours: how often, and who is parked.

Such a job would hold its slot for ever. After :data:`MOST` failures in a row it is *parked*:

- No decision is made and nothing new is begun. What it asks of queues, GPUs and sites goes to others.
- A pod that a node has goes on to its own end, and its slot and GPUs count until then: a fault of the operator must not
  end hours of work, and one that meets every job would end all of it. What became of it is recorded by the first
  decision that succeeds.
- A Job without such a pod is deleted: what it waits for may never come, and nothing of it is lost. Where people want
  the work to end (cancel, suspend, deletion), all its Jobs are.
- When nothing is left at work, status says that the job holds no slot. So it asks for one like any other when it goes
  on, whichever process it is that goes on with it.

It is looked at again after :data:`PAUSE`, after each change that people make of it, and by the operator's next process:
faults are counted in this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.records.objects import Key, Object
from audiojob_operator.state.refusals import essence

MOST: Final = 8
"""After so many failures in a row a job is parked. With the backoff between them that is half a minute."""
PAUSE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Fault:
    """The failures of one AudioJob in a row. ``what`` names the last one, ``essence`` what the job was like then.

    ``until``: when a parked job is looked at again; None for one that is worked on.
    """

    uid: str
    essence: str
    count: int
    what: str
    until: datetime | None = None


def failed_again(before: Fault | None, raw: Object, what: str, now: datetime) -> Fault:
    """One more failure, of whichever kind: one that comes in two kinds by turns holds a slot just as long.

    A job that was parked before is parked again at once.
    """
    uid: str = raw["metadata"]["uid"]
    count = 1 + (before.count if before is not None and before.uid == uid else 0)
    return Fault(uid, essence(raw), count, what, now + PAUSE if count >= MOST else None)


def is_due(fault: Fault, raw: Object, now: datetime) -> bool:
    """Whether a parked job is to be looked at again: its time has come, or people have changed it."""
    return fault.until is None or now >= fault.until or fault.essence != essence(raw)


class Faults:
    """For one event loop: by AudioJob, from its first failure until a decision that might have begun something."""

    def __init__(self) -> None:
        self._faults: dict[Key, Fault] = {}

    @property
    def parked(self) -> int:
        """How many jobs are parked."""
        return sum(each.until is not None for each in self._faults.values())

    def add(self, key: Key, raw: Object, what: str, now: datetime) -> Fault:
        """The operator has failed on the job."""
        fault = self._faults[key] = failed_again(self._faults.get(key), raw, what, now)
        return fault

    def of(self, key: Key, uid: str) -> Fault | None:
        """Why a job is parked; None for one to be worked on."""
        found = self._faults.get(key)
        return found if found is not None and found.until is not None and found.uid == uid else None

    def resume(self, key: Key) -> None:
        """A parked job is looked at again. It is parked anew by its next failure, until :meth:`forget`."""
        if (found := self._faults.get(key)) is not None:
            self._faults[key] = Fault(found.uid, found.essence, found.count, found.what)

    def forget(self, key: Key) -> None:
        """The operator has not failed where it might have begun something, or the job is gone."""
        self._faults.pop(key, None)
