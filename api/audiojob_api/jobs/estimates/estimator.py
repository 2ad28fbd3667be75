"""Estimates jobs before they are made. Nothing is created, and what a caller says of a length is used here alone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from audiojob_api.jobs.estimates.reuse import finished_before, reused_phases, same_input, works_on_the_same
from audiojob_api.jobs.estimates.steps import Step, Total, steps_of, total_of
from audiojob_api.jobs.listing.query import Filter, Order, Query, Where
from audiojob_api.jobs.listing.rows import row_of
from audiojob_api.jobs.ports import NamespaceJobs, Pipelines
from audiojob_api.jobs.statistics.sums import minutes_of, sums_of
from audiojob_api.jobs.statistics.work import Works, works_of
from audiojob_api.problems import FieldProblem, Problem
from audiojob_api.sql.errors import DatabaseUnavailable
from audiojob_kube.errors import ApiError, TransportError
from audiojob_types.resources.job import State
from audiojob_types.resources.pipeline import AudioPipelineSpec

_log = logging.getLogger(__name__)

Object = dict[str, Any]

_KEPT_SECONDS: Final = 30.0
_MOST_KEPT: Final = 256
_PATIENCE_SECONDS: Final = 0.2
_MOST_PENDING: Final = 16
_TOLD_SECONDS: Final = 5.0
_LOOKED_AT: Final = 100
"""Newest jobs of the pipeline that are still in the cluster: where there is no archive, and for what may be reused."""


class Basis(StrEnum):
    """From what the length of the media is known."""

    MEASURED = "Measured"  # another job has worked on the same
    TOLD = "Told"  # the request says it
    TYPICAL = "Typical"  # not at all: the pipeline's mean time stands for it


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would take."""

    steps: list[Step]
    total: Total | None
    minutes: float | None
    basis: Basis


class Estimator:
    """Of the jobs of one namespace."""

    def __init__(self, jobs: NamespaceJobs, pipelines: Pipelines, clock: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._pipelines = pipelines
        self._clock = clock
        self._works: OrderedDict[str, tuple[float, Works]] = OrderedDict()
        self._pending: set[asyncio.Future[float | None]] = set()
        self._told: OrderedDict[tuple[str, str | None], tuple[float, float | None]] = OrderedDict()

    async def pipeline(self, name: str) -> AudioPipelineSpec:
        """The pipeline. Raises a 404 Problem for one that does not exist."""
        found = await self._pipelines.find(name)
        if found is None:
            detail = f"pipeline: there is no pipeline {name!r}"
            raise Problem(404, "not-found", detail, (FieldProblem(pointer="/pipeline", detail=detail),))
        return found

    async def estimate(self, spec: Object, told_minutes: float | None) -> Estimate:
        """Of a job with this spec. Raises a 404 Problem for an unknown pipeline, DatabaseUnavailable."""
        pipeline = await self.pipeline(spec["pipeline"])
        now_ms = round(self._clock() * 1_000)
        lately = await self._lately(spec["pipeline"])
        minutes, basis = await self._minutes(spec, lately), Basis.MEASURED
        if minutes is None:
            minutes, basis = told_minutes, Basis.TYPICAL if told_minutes is None else Basis.TOLD
        reused = reused_phases(spec, pipeline, lately, now_ms)
        if (retried := spec.get("retryOf")) and (job := await self._jobs.reader.find(retried)) is not None:
            reused = finished_before(job, now_ms) if works_on_the_same(spec, job.get("spec") or {}) else {}
        return self._put_together(spec, pipeline, await self.works(spec["pipeline"]), (minutes, basis), reused)

    async def typical_seconds(self, spec: Object) -> float | None:
        """How long the job would run if none of its work is done already; None where that is not known."""
        pipeline = await self.pipeline(spec["pipeline"])
        works = await self.works(spec["pipeline"])
        minutes = await self._of_source(spec)
        total = self._put_together(spec, pipeline, works, (minutes, Basis.TYPICAL), {}).total
        return None if total is None else total.seconds

    async def measured_minutes(self, spec: Object) -> float | None:
        """How long the media is that another job made, or that the job to try again worked on; None if unknown."""
        if (retried := spec.get("retryOf")) and (job := await self._jobs.reader.find(retried)) is not None:
            # Who names another one's source there would have a long file counted as that one's short file.
            return minutes_of(job) if works_on_the_same(spec, job.get("spec") or {}) else None
        return await self._of_source(spec)

    async def told(self, job: Object) -> Object:
        """A new job with how long it may take. It is made already: nothing is waited for long, and nothing fails."""
        kind = _kind_of(job["spec"])
        if kind is not None and kind in self._told and time.monotonic() < self._told[kind][0]:
            return _with_seconds(job, self._told[kind][1])
        if len(self._pending) >= _MOST_PENDING:
            return job
        asked = asyncio.ensure_future(self.typical_seconds(job["spec"]))
        self._pending.add(asked)
        asked.add_done_callback(self._pending.discard)
        await asyncio.wait((asked,), timeout=_PATIENCE_SECONDS)
        if not asked.done():
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())  # that it is not reported
            return job
        seconds = None
        if (error := asked.exception()) is None:
            seconds = asked.result()
        elif not isinstance(error, Problem | ApiError | TransportError | DatabaseUnavailable):
            _log.error("job %s was not estimated", job["metadata"]["name"], exc_info=error)
        if kind is not None:
            self._told[kind] = (time.monotonic() + _TOLD_SECONDS, seconds)
            if len(self._told) > _MOST_KEPT:
                self._told.popitem(last=False)
        return _with_seconds(job, seconds)

    async def works(self, pipeline: str) -> Works:
        """How long the pipeline's phases took: from the archive's sums, else from the newest jobs of the cluster."""
        now = time.monotonic()
        until, works = self._works.get(pipeline, (0.0, {}))
        if now >= until:
            if works:  # serves others until the new one is there
                self._works[pipeline] = (now + _KEPT_SECONDS, works)
            history = self._jobs.history
            works = await history.works(pipeline) if history is not None else {}
            if not works:
                done = await self._lately(pipeline)
                works = works_of(sums_of([(row_of(job, pack=False), job) for job in done]))
            self._works.pop(pipeline, None)
            self._works[pipeline] = (now + _KEPT_SECONDS, works)
            if len(self._works) > _MOST_KEPT:
                self._works.popitem(last=False)
        return works

    def _put_together(
        self,
        spec: Object,
        pipeline: AudioPipelineSpec,
        works: Works,
        media: tuple[float | None, Basis],
        reused: dict[str, str],
    ) -> Estimate:
        steps = steps_of(pipeline, works, media[0], spec.get("device"), reused)
        return Estimate(steps, total_of(pipeline, steps), *media)

    async def _lately(self, pipeline: str) -> list[Object]:
        """The newest jobs of the cluster that succeeded with it."""
        wanted = Filter(state=State.SUCCEEDED, pipeline=pipeline)
        query = Query(wanted, Order.FINISHED, Where.LIVE, _LOOKED_AT)
        return (await self._jobs.reader.page(query)).items

    async def _minutes(self, spec: Object, lately: list[Object]) -> float | None:
        """How long the media is, from a job that has worked on the same."""
        found = await self.measured_minutes(spec)
        if found is not None or not spec.get("source"):
            return found
        lengths = (minutes_of(job) for job in lately if same_input(spec, job.get("spec") or {}))
        return next((each for each in lengths if each is not None), None)

    async def _of_source(self, spec: Object) -> float | None:
        ref = (spec.get("source") or {}).get("jobRef")
        other = await self._jobs.reader.find(ref["name"]) if ref else None
        if other is None:
            return None
        wanted = None if ref is None else ref.get("output")
        outputs = (other.get("status") or {}).get("outputs", ())
        fitting = [each for each in outputs if wanted in (None, each.get("name"))]
        return minutes_of({"status": {"outputs": fitting}})


def _kind_of(spec: Object) -> tuple[str, str | None] | None:
    """Jobs that are told the same, for as long as little changes; None for one whose media another job has measured."""
    return None if (spec.get("source") or {}).get("jobRef") else (spec["pipeline"], spec.get("device"))


def _with_seconds(job: Object, seconds: float | None) -> Object:
    return job if seconds is None else {**job, "estimatedDuration": round(seconds, 1)}
