"""Jobs: create, list, follow, change."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Unpack

from audiojob_client import calls
from audiojob_client.calls import QueryValue, body_of, request
from audiojob_client.errors import JobGone
from audiojob_client.filters import JobFilters, Matching, query_of
from audiojob_client.models import Count, Estimate, Job, JobPage, NewJob, OutcomeList, PriorityWord, read
from audiojob_client.synchronous.events import follow
from audiojob_client.synchronous.transport import Transport


class Jobs:
    """``client.jobs``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, job: NewJob | Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """A new job; with a key the one that the same key and body made before. The API checks it, and names each
        field that is wrong: :class:`Invalid`.

        Without a key it is sent again only where it surely made nothing.
        """
        headers = {calls.KEY_HEADER: idempotency_key}
        return self._job(request(calls.CREATE_JOB, headers=headers, body=job))

    def estimate(self, job: NewJob | Mapping[str, Any], *, duration_seconds: float | None = None) -> Estimate:
        """What a job would take, without making it; ``duration_seconds`` is how long the media is, if you know it."""
        body = body_of(job)
        body |= {} if duration_seconds is None else {"durationSeconds": duration_seconds}
        return read(Estimate, self._transport.send(request(calls.ESTIMATE_JOB, body=body)))

    def get(self, name: str) -> Job:
        """One job, from the cluster or the archive."""
        return self._job(request(calls.GET_JOB, {"name": name}))

    def list(self, *, limit: int = 200, **filters: Unpack[JobFilters]) -> Generator[Job, None]:
        """All jobs that the filters leave, newest first, fetched ``limit`` at a time as they are wanted."""
        cursor: str | None = None
        while True:
            page = self.page(limit=limit, cursor=cursor, **filters)
            for job in page.items:
                yield job
            if page.cursor is None:
                return
            cursor = page.cursor

    def page(self, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[JobFilters]) -> JobPage:
        """One page; its ``cursor`` gets the next, with the same filters."""
        return self._page({**query_of(filters), "limit": limit, "cursor": cursor})

    def count(self, **filters: Unpack[JobFilters]) -> Count:
        """How many there are, counted up to 10,000."""
        page = self._page({**query_of(filters), "limit": 1, "count": True})
        return page.total or Count(count=len(page.items), at_least=page.cursor is not None)

    def watch(self, name: str) -> Generator[Job, None]:
        """The job as it is, then as it changes, until it has ended; a slow reader gets the newest.

        A connection that breaks off is made anew. Raises :class:`JobGone` for a job that is deleted meanwhile.
        """
        with closing(follow(self._transport, calls.WATCH_JOB, {"name": name}, {})) as events:
            for event in events:
                if event.name == "gone":
                    raise JobGone(f"job {name!r} was deleted before it ended")
                if event.name == "job":
                    job = read(Job, event.data)
                    yield job
                    if job.ended:
                        return

    def wait(self, name: str) -> Job:
        """The job once it has ended, however it did."""
        job = self.get(name)
        if not job.ended:
            for each in self.watch(name):
                job = each
        return job

    def cancel(self, name: str) -> Job:
        """End it; its record stays until its time is over."""
        return self._job(request(calls.CANCEL_JOB, {"name": name}))

    def suspend(self, name: str) -> Job:
        """Stop its work until it is resumed."""
        return self._job(request(calls.SUSPEND_JOB, {"name": name}))

    def resume(self, name: str) -> Job:
        """Let it go on."""
        return self._job(request(calls.RESUME_JOB, {"name": name}))

    def change(self, name: str, *, priority: int | PriorityWord) -> Job:
        """Another priority, while it waits."""
        return self._job(request(calls.CHANGE_JOB, {"name": name}, body={"priority": priority}))

    def review(
        self,
        name: str,
        phase: str,
        *,
        approved: bool,
        message: str | None = None,
        inputs: Sequence[Mapping[str, Any]] | None = None,
    ) -> Job:
        """Approve a phase at which it stops, perhaps with corrected inputs, or end it there."""
        body: dict[str, Any] = {"phase": phase, "approved": approved}
        body |= {} if message is None else {"message": message}
        body |= {} if inputs is None else {"inputs": [dict(each) for each in inputs]}
        return self._job(request(calls.REVIEW_JOB, {"name": name}, body=body))

    def retry(self, name: str, *, idempotency_key: str | None = None) -> Job:
        """A new job of the same spec, for one that failed or was cancelled; finished phases are not repeated."""
        return self._job(request(calls.RETRY_JOB, {"name": name}, headers={calls.KEY_HEADER: idempotency_key}))

    def create_many(
        self, jobs: Sequence[NewJob | Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> OutcomeList:
        """Up to 200 jobs in one call, and what came of each. A job that does not fit refuses them all
        (:class:`Invalid`); with a key the same list may be sent again, and makes what lacks.
        """
        headers = {calls.KEY_HEADER: idempotency_key}
        body = {"jobs": [body_of(job) for job in jobs]}
        return self._outcomes(request(calls.CREATE_JOBS, headers=headers, body=body))

    def retry_many(self, names: Sequence[str], *, idempotency_key: str | None = None) -> OutcomeList:
        """The same as :meth:`retry` of up to 200 jobs, and what came of each."""
        headers = {calls.KEY_HEADER: idempotency_key}
        return self._outcomes(request(calls.RETRY_JOBS, headers=headers, body={"names": list(names)}))

    def cancel_many(self, names: Sequence[str]) -> OutcomeList:
        """End up to 200 jobs, and what came of each."""
        return self._outcomes(request(calls.CANCEL_JOBS, body={"names": list(names)}))

    def cancel_matching(self, *, cursor: str | None = None, **matching: Unpack[Matching]) -> OutcomeList:
        """End the newest 200 jobs that match and have not ended, of all where nothing is given; its ``cursor`` gets
        the next.
        """
        body: dict[str, Any] = {"matching": dict(matching)}
        body |= {} if cursor is None else {"cursor": cursor}
        return self._outcomes(request(calls.CANCEL_JOBS, body=body))

    def _outcomes(self, wanted: calls.Request) -> OutcomeList:
        return read(OutcomeList, self._transport.send(wanted))

    def _job(self, wanted: calls.Request) -> Job:
        return read(Job, self._transport.send(wanted))

    def _page(self, query: Mapping[str, QueryValue]) -> JobPage:
        return read(JobPage, self._transport.send(request(calls.LIST_JOBS, query=query)))
