"""What this package asks of its surroundings, one protocol for each concern.

An archive of finished jobs is another `JobReader`, which asks the cluster's first. Calls that leave the process raise
ApiError or TransportError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from audiojob_api.jobs.listing.paging import Count, Page
from audiojob_api.jobs.listing.query import Filter, Query, Where
from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.statistics.depth import Depths
from audiojob_api.jobs.statistics.groups import By, Group
from audiojob_api.jobs.statistics.work import Works
from audiojob_types.resources.pipeline import AudioPipelineSpec

Object = dict[str, Any]
Listener = Callable[[Object | None], None]


class JobReader(Protocol):
    """AudioJobs to show."""

    async def find(self, name: str) -> Object | None:
        """The AudioJob; None if there is none. Raises a 503 Problem while that is not known yet."""

    async def page(self, query: Query) -> Page:
        """One page of a list. Raises a 503 Problem before the first list is complete."""

    async def count(self, wanted: Filter, where: Where) -> Count:
        """How many jobs match, counted to a bound. Raises a 503 Problem as `page` does."""


class LiveJobs(Protocol):
    """The read model: the AudioJobs that the API server has, as far as this replica knows."""

    def jobs(self) -> Collection[JobRow]:
        """All of them: a live view, not to be held across an await."""

    def may_have_key(self, digest: str) -> bool:
        """Whether any may have been made with this idempotency key: very many need not be looked through then."""

    def subscribe(self, name: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every new version of a job, None once it is deleted. Returns how to unsubscribe."""


class JobWriter(Protocol):
    """Changes of AudioJobs, through the API server alone."""

    async def create(self, job: Object) -> Object:
        """Create an AudioJob; readers of this replica see it at once."""

    async def change(self, name: str, uid: str, operations: Sequence[Object]) -> Object:
        """Apply these JSON Patch operations to the job with this uid. Raises Conflict where a test of them fails."""

    async def read(self, name: str) -> Object:
        """The AudioJob straight from the API server."""


class History(Protocol):
    """What is known of jobs that have ended, also of those that are gone."""

    @property
    def unarchived(self) -> int:
        """Finished jobs that are still on their way into it."""

    async def groups(self, begin: int, end: int, by: By) -> list[tuple[str, Group]]:
        """Statistics of the whole hours of a span, by group. Raises DatabaseUnavailable."""

    async def depths(self, begin: int, end: int, by: By, queue: str | None) -> Depths:
        """How many jobs waited and ran in a span, in all and by queue. Raises DatabaseUnavailable."""

    async def works(self, pipeline: str) -> Works:
        """How long the phases of a pipeline took lately. Raises DatabaseUnavailable."""


class Pipelines(Protocol):
    """AudioPipelines, which belong to no namespace."""

    async def find(self, name: str) -> AudioPipelineSpec | None:
        """The pipeline; None if there is none. Raises a 503 Problem where it cannot be read."""


@dataclass(frozen=True, slots=True)
class NamespaceJobs:
    """The AudioJobs of one namespace, one protocol for each concern."""

    reader: JobReader
    live: LiveJobs
    writer: JobWriter
    history: History | None = None


class Lifecycle(Protocol):
    """The read model as the process sees it."""

    async def run(self) -> None:
        """Keep the read model current until cancelled."""

    def synced(self) -> bool:
        """Whether the first full list is complete."""

    def age(self) -> float:
        """Seconds since the API server was last heard from."""
