"""Whom the caches notify. Given at construction; every call comes in the event loop, while the caches change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from audiojob_operator.records.objects import Key, Object

WorkKey: TypeAlias = tuple[str, str]  # namespace and reuse key


class JobListener(Protocol):
    """What the store of AudioJobs reports."""

    def job_stored(self, key: Key, obj: Object) -> None:
        """A newer version of an AudioJob is known."""

    def job_changed(self, key: Key, *, ours: bool) -> None:
        """Something changed that a decision on the AudioJob depends on; ``ours``: by our own write."""

    def job_gone(self, key: Key) -> None:
        """The AudioJob does not exist any more."""


class Listener(JobListener, Protocol):
    """What all caches report."""

    def wake(self, key: Key) -> None:
        """Reconcile the AudioJob: something that it depends on changed."""

    def wake_soon(self, key: Key, seconds: float) -> None:
        """Reconcile the AudioJob after so many seconds at the latest: once for all that changes until then."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it after so many seconds."""

    def admission_changed(self, key: Key) -> None:
        """What admission reads of the AudioJob changed: a Job, the pipeline or revision, or a model."""

    def capacity_changed(self) -> None:
        """Queues or nodes changed."""

    def pool_changed(self, pool: Key) -> None:
        """Something changed that the number of a pool's workers depends on, or what they are told."""

    def work_ended(self, work: WorkKey) -> None:
        """A Job that did reusable work has ended or is gone."""
