"""The GPUs that Jobs of one namespace hold: until they end, and a deleted one until its pods have ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from audiojob_operator.deciding.children.observe import gpu_resource_of, gpus_of
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.state.projections import POD_GPUS, job_is_finished
from audiojob_types import constants as c

_KUEUE: Final = "kueue.x-k8s.io/"  # of the labels that it gives the pods of what it has admitted


@dataclass(frozen=True, slots=True)
class LiveGpus:
    """GPUs of a live Job of the AudioJob ``owner``, "" for a worker's. ``managed``: Kueue admits it, and has not yet if
    it ``waits``."""

    owner: str
    gpus: int
    resource: str
    managed: bool
    waits: bool = False


class GpuBook:
    """``held`` is by Job. A Job is deleted before its pods, which have their grace to end."""

    def __init__(self) -> None:
        self.held: dict[Key, LiveGpus] = {}
        self._outlived: dict[Key, int] = {}  # Jobs that are gone, and whose pods are not; each time has a number
        self._times = 0

    def job_seen(self, key: Key, owner: str, job: Object | None, *, at_work: bool) -> int | None:
        """A Job as it is now; None: it is gone, and a pod of it is ``at_work`` or not. If that pod keeps its GPUs, the
        number of this time, for :meth:`given_back`.

        What Kueue counts is free with the Job.
        """
        if job is None and at_work and key in self.held and not self.held[key].managed:
            return self._outlives(key)
        self._outlived.pop(key, None)
        if job is not None and not job_is_finished(job) and (gpus := gpus_of(job)):
            managed = c.KUEUE_QUEUE_LABEL in (job["metadata"].get("labels") or {})
            waits = managed and bool(job["spec"].get("suspend"))
            self.held[key] = LiveGpus(owner, gpus, gpu_resource_of(job), managed, waits)
        else:
            self.held.pop(key, None)
        return None

    def pod_seen(self, key: Key, owner: str, pod: Object) -> int | None:
        """A pod at work whose Job, ``key``, is not known: the Job went before it, or was not heard of yet.

        The number of this time if the pod has GPUs that nobody has counted; not those that Kueue counts.
        """
        if key in self.held or any(name.startswith(_KUEUE) for name in pod["metadata"].get("labels") or {}):
            return None
        for resource, gpus in (pod["spec"].get(POD_GPUS) or {}).items():  # it has one kind
            self.held[key] = LiveGpus(owner, gpus, resource, managed=False)
            return self._outlives(key)
        return None

    def _outlives(self, key: Key) -> int:
        self._times += 1
        self._outlived[key] = self._times
        return self._times

    def given_back(self, key: Key, time: int | None = None) -> LiveGpus | None:
        """No pod of the Job is at work, or nobody waits any more for its end of that ``time``; what it held until now,
        if it is gone.
        """
        if key not in self._outlived or time not in (None, self._outlived[key]):
            return None
        del self._outlived[key]
        return self.held.pop(key)

    def outlived_owners(self) -> set[str]:
        """Names of the AudioJobs whose pods have GPUs while their Jobs are gone."""
        return {owner for key in self._outlived if (owner := self.held[key].owner)}

    def of(self, owner: str, jobs: Iterable[Key]) -> Iterator[LiveGpus]:
        """Those of an AudioJob that has these Jobs."""
        yield from (self.held[key] for key in jobs if key in self.held)
        yield from (self.held[key] for key in self._outlived if self.held[key].owner == owner)
