"""Bodies of calls about many jobs. One that does not fit is refused as a whole, before anything is done."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from audiojob_api.jobs.listing.query import Filter, Order, Query, Where
from audiojob_api.jobs.request import ONLY_DOCUMENTED_NAMES, JobRequest, check
from audiojob_api.problems import Problem, invalid_field, within
from audiojob_types.base import ObjectName, WireModel
from audiojob_types.resources.job import State

MOST: Final = 200
"""Jobs of one call."""
_UNFINISHED: Final = (State.PENDING, State.QUEUED, State.RUNNING, State.SUSPENDED)


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names a job twice")
    return names


Names = Annotated[
    list[ObjectName],
    Field(min_length=1, max_length=MOST, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]


class ManyJobs(WireModel):
    """Jobs to create."""

    model_config = ONLY_DOCUMENTED_NAMES

    jobs: Annotated[
        list[JobRequest],
        Field(min_length=1, max_length=MOST, description="jobs to create, each as in the call that creates one."),
    ]

    def check(self) -> None:
        """What the model cannot say. Raises a 422 Problem that names the job and its field."""
        names: set[str] = set()
        for index, job in enumerate(self.jobs):
            try:
                check(job)
                if job.name is not None and job.name in names:
                    raise invalid_field("name", "names a job twice")
                names |= {job.name} if job.name is not None else set()
                _ = job.upload  # with another source beside it
            except Problem as problem:
                raise within(problem, "jobs", index) from None


class NamedJobs(WireModel):
    """Jobs by their names."""

    model_config = ONLY_DOCUMENTED_NAMES

    names: Annotated[Names, Field(description="names of jobs, each once.")]


class Matching(WireModel):
    """Jobs that have not ended, of which all that is given must hold."""

    model_config = ONLY_DOCUMENTED_NAMES

    state: Annotated[
        Literal["Pending", "Queued", "Running", "Suspended"] | None, Field(description="state that the jobs are in.")
    ] = None
    pipeline: Annotated[ObjectName | None, Field(description="pipeline of the jobs.")] = None
    queue: Annotated[ObjectName | None, Field(description="queue of the jobs.")] = None
    user: Annotated[
        str | None,
        Field(
            max_length=63,
            pattern=r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$",
            description="user as the label audiojobs.dev/user has it.",
        ),
    ] = None
    batch: Annotated[ObjectName | None, Field(description="batch of the jobs.")] = None

    @field_validator("*", mode="before")
    @classmethod
    def _said(cls, value: Any) -> Any:
        if value is None:  # a client that has no batch to name must not end every job
            raise ValueError("null matches nothing: leave out what the jobs may have any of")
        return value

    def query(self, own: str | None) -> Query:
        """The first page of them; ``own`` is the user whose jobs alone may be changed."""
        states = (self.state,) if self.state else tuple(sorted(_UNFINISHED))
        wanted = Filter(
            state=states[0] if len(states) == 1 else None,
            states=states if len(states) > 1 else (),
            pipeline=self.pipeline,
            queue=self.queue,
            user=self.user or own,
            batch=self.batch,
        )
        return Query(wanted, Order.CREATED, Where.LIVE, MOST)


class JobsToCancel(WireModel):
    """Jobs by their names, or all that match."""

    model_config = ONLY_DOCUMENTED_NAMES

    names: Annotated[Names | None, Field(description="names of jobs, each once.")] = None
    matching: Annotated[
        Matching | None, Field(description="matching jobs that have not ended; {} for all of them.")
    ] = None
    cursor: Annotated[
        str | None,
        Field(min_length=1, max_length=1_024, description="cursor of the answer before, with the same matching."),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.names is None) == (self.matching is None):
            raise ValueError("needs exactly one of names and matching")
        if self.cursor is not None and self.matching is None:
            raise ValueError("cursor goes with matching alone")
        return self
