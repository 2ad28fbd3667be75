"""The AudioJobs that the operator follows: newest version wins, whoever brings it (kopf, a sweep, a write's answer)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, KeysView
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from audiojob_kube.objects import Object, key_of, resource_version_of
from audiojob_operator.records.objects import Key
from audiojob_operator.records.workers import is_told_ahead
from audiojob_operator.state.listener import JobListener
from audiojob_operator.state.projections import METADATA_DIGEST, trim_audiojob
from audiojob_types.resources.job import FINISHED_STATES, AudioJob

V = TypeVar("V")

_REMEMBERED = 5_000
_FINISHED = frozenset(str(state) for state in FINISHED_STATES)
# What the runner writes, and what every write moves: none of it can change a decision.
_NOISE_IN_STATUS = frozenset({"progress", "percent", "nodeName"})


@dataclass(frozen=True)
class Known:
    """One AudioJob at one version. Shared: treat `raw` as frozen."""

    raw: Object
    version: int

    @property
    def uid(self) -> str:
        uid: str = self.raw["metadata"]["uid"]
        return uid

    @property
    def status(self) -> Object:
        """The status exactly as stored."""
        status: Object = self.raw.get("status") or {}
        return status

    @property
    def finished(self) -> bool:
        """Whether the state is terminal."""
        return self.status.get("state") in _FINISHED

    @cached_property
    def job(self) -> AudioJob:
        """The parsed object, kept. Raises pydantic.ValidationError for one that this version cannot read."""
        return self.read()

    def read(self) -> AudioJob:
        """The object parsed anew, for one that is looked at once. Raises as :attr:`job` does."""
        return AudioJob.model_validate(self.raw)


class JobStore:
    """Unfinished AudioJobs by key, and the last few thousand finished ones.

    Finished ones are kept only so that late events of their children need no read: nothing in them changes.
    """

    def __init__(self, listener: JobListener) -> None:
        self._listener = listener
        self._active: dict[Key, Known] = {}
        self._finished: OrderedDict[Key, Known] = OrderedDict()
        self._gone: OrderedDict[Key, int] = OrderedDict()  # versions of deletions

    def __len__(self) -> int:
        """How many unfinished AudioJobs are known."""
        return len(self._active)

    def get(self, key: Key) -> Known | None:
        return self._active.get(key) or self._finished.get(key)

    def active(self) -> Iterator[tuple[Key, Known]]:
        """A live view of the unfinished ones: do not hold it across an await."""
        return iter(self._active.items())

    def keys(self) -> KeysView[Key]:
        return self._active.keys()

    def put(self, obj: Object, *, ours: bool = False) -> bool:
        """Take over one version of an AudioJob, unless it or a newer one is known. `ours`: the answer to our write,
        in which only what others wrote before it is news. Returns whether it was newer."""
        key, obj = key_of(obj), trim_audiojob(obj)
        known = Known(obj, resource_version_of(obj))
        old = self.get(key)
        if (old is not None and old.version >= known.version) or self._gone.get(key, -1) >= known.version:
            return False
        if known.finished:
            self._active.pop(key, None)
            _remember(self._finished, key, known)
        else:
            self._finished.pop(key, None)
            self._active[key] = known
        self._listener.job_stored(key, obj)
        if old is None or _differ(old, known):
            self._listener.job_changed(key, ours=ours and not (old is not None and _others_wrote(old.raw, obj)))
        return True

    def left(self, obj: Object) -> None:
        """The watch says that an AudioJob left the active set at this version: finished, or deleted.

        One that we know as finished has finished, by our own write. Any other is forgotten, and a read must tell.
        """
        key, version = key_of(obj), resource_version_of(obj)
        known = self.get(key)
        if known is not None and (known.version > version or known.finished):
            return
        self._active.pop(key, None)
        self._listener.job_changed(key, ours=False)

    def gone(self, key: Key, uid: str | None = None, version: int = 0) -> None:
        """The AudioJob does not exist any more. With `uid` only that one: a successor of the same name stays."""
        known = self.get(key)
        if known is None or (uid is not None and known.uid != uid):
            return
        self._active.pop(key, None)
        self._finished.pop(key, None)
        self._listener.job_gone(key)
        # Events from before the deletion may still be on their way.
        _remember(self._gone, key, max(known.version, version))


def _remember(memory: OrderedDict[Key, V], key: Key, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _differ(old: Known, new: Known) -> bool:
    """Whether anything changed that a decision depends on. Progress reports come once a second for each job."""
    return _essence(old.raw) != _essence(new.raw)


def _essence(raw: Object) -> tuple[object, ...]:
    stored = raw.get("status") or {}
    status = {name: value for name, value in stored.items() if name not in _NOISE_IN_STATUS}
    return (*_of_people(raw), status, _results(stored.get("progress")), _begun(stored))


def _of_people(raw: Object) -> tuple[object, ...]:
    metadata = raw["metadata"]
    return metadata["uid"], metadata.get("deletionTimestamp"), metadata.get(METADATA_DIGEST), raw.get("spec")


def _others_wrote(old: Object, new: Object) -> bool:
    """Whether people changed it, or a worker reported, before the write of ours that made ``new`` of ``old``."""
    before, after = old.get("status") or {}, new.get("status") or {}
    results = _results(before.get("progress"))
    return (
        _of_people(old) != _of_people(new)
        or any(results.get(phase) != end for phase, end in _results(after.get("progress")).items())
        or not set(_begun(after)) <= set(_begun(before))
    )


def _results(progress: object) -> dict[str, object]:
    """How workers' phases have ended, which is no noise. Pods write progress, so anything may stand there."""
    reports = progress.items() if isinstance(progress, dict) else ()
    return {phase: each["result"] for phase, each in reports if isinstance(each, dict) and each.get("result")}


def _begun(stored: Object) -> list[str]:
    """Phases that were told ahead and that workers have begun by now, which their records do not say yet."""
    reports = stored.get("progress")
    told = [each["name"] for each in stored.get("phases") or () if is_told_ahead(each)]
    if not told or not isinstance(reports, dict):
        return []
    return [phase for phase in told if isinstance(each := reports.get(phase), dict) and each.get("begun")]
