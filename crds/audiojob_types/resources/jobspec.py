"""What a user asks for: the spec of an AudioJob, and the API server's rules about changes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, WithJsonSchema

from audiojob_types.base import ObjectName, WireModel, WrittenTime, cel
from audiojob_types.constants import DEFAULT_QUEUE, MAX_PHASES, MAX_REVIEW_INPUTS
from audiojob_types.contract import MAX_PHASE_INPUTS, MAX_TEXTS_BYTES
from audiojob_types.destination import Destination
from audiojob_types.parameters import parameters_schema
from audiojob_types.resources.edits import as_one, goes_on, immutable, immutable_at_the_end
from audiojob_types.resources.fields import TERMINAL_STATES, Message, PhaseName
from audiojob_types.resources.source import ReviewInput, SideInput, Source, input_problem, text_bytes


class Retry(WireModel):
    """How often a phase is attempted, and how long it waits in between."""

    limit: Annotated[
        int,
        Field(
            strict=True,
            ge=1,
            le=10,
            description="limit is the number of counted failures that end a phase; 1 means no retry. Default 6.",
        ),
    ] = 6
    base_seconds: Annotated[
        int,
        Field(
            strict=True,
            ge=0,
            le=3_600,
            description="baseSeconds is the wait after the first failure; it doubles. Default 10.",
        ),
    ] = 10
    cap_seconds: Annotated[
        int, Field(strict=True, ge=1, le=86_400, description="capSeconds is the longest wait. Default 120.")
    ] = 120


class Review(WireModel):
    """A review decision for a phase at which the pipeline stops."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                ("!has(self.inputs) || self.approved", "inputs cannot go with approved: false, which ends the job"),
            )
        }
    )

    phase: Annotated[PhaseName, Field(description="phase that the review is about.")]
    approved: Annotated[bool, Field(strict=True, description="approved lets the phase start; false ends the job.")]
    message: Annotated[Message, Field(description="message of the reviewer, for people.")] = ""
    inputs: (
        Annotated[
            tuple[ReviewInput, ...],
            Field(
                max_length=MAX_REVIEW_INPUTS,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
                description="inputs that the phase and those after it read in place of what earlier phases made.",
            ),
        ]
        | None
    ) = None

    @property
    def handed_in(self) -> tuple[ReviewInput, ...]:
        """The inputs, if there are any."""
        return self.inputs or ()


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A review that does not count: the one of that index in the list, the field that is wrong and why."""

    index: int
    review: Review
    field: str
    why: str


def reviews_that_count(
    reviews: Sequence[Review], takes: Mapping[str, Collection[str]]
) -> tuple[dict[str, Review], list[PassedOver]]:
    """The first review of each phase that can be used, and those that cannot be, so that another one may follow them.

    ``takes`` are, by phase, the names of inputs that its review may hand in; reviews of other phases are left out.
    """
    counted: dict[str, Review] = {}
    passed: list[PassedOver] = []
    used = 0
    for index, review in enumerate(reviews):
        if review.phase not in takes or review.phase in counted:
            continue
        problem = review_problem(review, takes[review.phase], used)
        if problem is not None:
            passed.append(PassedOver(index, review, *problem))
            continue
        counted[review.phase] = review
        used += sum(map(text_bytes, review.handed_in))
    return counted, passed


def review_problem(review: Review, takes: Collection[str], used: int) -> tuple[str, str] | None:
    """What is wrong with the inputs of a review: the field of it and why. ``used``: bytes of other reviews' texts."""
    if not review.approved:
        return None  # the job ends
    seen: set[str] = set()
    for given in review.handed_in:
        field = f"inputs[{given.name}]"
        if given.name not in takes:
            known = ", ".join(takes) or "none"
            return field, f"phase {review.phase} and those after it read no earlier output of that name; known: {known}"
        if given.name in seen:
            return field, "must not be there twice"
        seen.add(given.name)
        if (problem := input_problem(given)) is not None:
            return f"{field}{problem[0]}", problem[1]
        used += text_bytes(given)
        if used > MAX_TEXTS_BYTES:
            return f"{field}.text", f"all texts of reviews must have at most {MAX_TEXTS_BYTES} bytes; use object"
    return None


class AudioJobSpec(WireModel):
    """What to do. Immutable but for suspend, cancel, priority, ttlSecondsAfterFinished, and reviews to come."""

    MUTABLE: ClassVar[frozenset[str]] = frozenset(
        {"suspend", "cancel", "priority", "ttlSecondsAfterFinished", "reviews"}
    )
    MUTABLE_AT_THE_END: ClassVar[frozenset[str]] = frozenset({"ttlSecondsAfterFinished"})

    pipeline: Annotated[ObjectName, Field(description="pipeline is the name of the AudioPipeline to run.")]
    source: Annotated[Source, Field(description="source is the input, if the pipeline needs one.")] | None = None
    inputs: Annotated[
        tuple[SideInput, ...],
        Field(
            max_length=MAX_PHASE_INPUTS,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-validations": cel(
                    (
                        f"self.map(i, has(i.text) ? i.text.size() : 0).sum() <= {MAX_TEXTS_BYTES}",
                        "all texts together must be at most 64 KiB; upload longer ones and use object",
                    )
                ),
            },
            description="inputs beside the source, such as lyrics; pipelines ask for them by name.",
        ),
    ] = ()
    destination: (
        Annotated[
            Destination,
            Field(description="destination is the library that the pipeline's Publish phases put results into."),
        ]
        | None
    ) = None
    parameters: Annotated[
        Annotated[dict[str, dict[str, Any]], WithJsonSchema(parameters_schema())] | None,
        Field(description="parameters by task; what is left out comes from the pipeline, then from built-in defaults."),
    ] = None
    queue_name: Annotated[ObjectName, Field(description="queueName is the AudioQueue that the job waits in.")] = (
        DEFAULT_QUEUE
    )
    priority: (
        Annotated[
            int,
            Field(
                strict=True,
                ge=1,
                le=10,
                description="priority from 1 to 10; 10 is the most urgent. Default: the pipeline's, else 5.",
            ),
        ]
        | None
    ) = None
    device: (
        Annotated[
            Literal["Auto", "GPU", "CPU"],
            Field(
                description="device for phases that can use a GPU. Auto takes a GPU when a node offers one and falls "
                "back to the CPU; GPU never falls back; CPU never asks for one."
            ),
        ]
        | None
    ) = None
    start_time: Annotated[WrittenTime | None, Field(description="startTime is the earliest moment to start.")] = None
    active_deadline_seconds: (
        Annotated[
            int,
            Field(
                strict=True,
                ge=1,
                le=2_592_000,
                description="activeDeadlineSeconds ends the job this long after its start.",
            ),
        ]
        | None
    ) = None
    queue_timeout_seconds: (
        Annotated[
            int,
            Field(
                strict=True,
                ge=1,
                le=2_592_000,
                description="queueTimeoutSeconds fails a job that has not started this long after creation or "
                "startTime. Default: none; but a day for a job whose pipeline, queue, source job or prepared namespace "
                "does not exist.",
            ),
        ]
        | None
    ) = None
    ttl_seconds_after_finished: (
        Annotated[
            int,
            Field(
                strict=True,
                ge=0,
                le=31_536_000,
                description="ttlSecondsAfterFinished removes the finished job after this time. "
                "Default: the pipeline's, else 86400.",
            ),
        ]
        | None
    ) = None
    suspend: Annotated[bool, Field(strict=True, description="suspend stops the work; false lets it go on.")] = False
    cancel: Annotated[
        bool, Field(strict=True, description="cancel ends the job for good; it cannot be taken back.")
    ] = False
    retry: Annotated[Retry, Field(description="retry overrides the pipeline's retry policy.")] | None = None
    retry_of: (
        Annotated[
            ObjectName,
            Field(description="retryOf is a failed or cancelled AudioJob; phases that it finished are not done again."),
        ]
        | None
    ) = None
    reuse: Annotated[
        Literal["Allowed", "Never"],
        Field(
            description="reuse Allowed takes over what an AudioJob of the namespace has made of the same input in the "
            "same way; Never does all of the work again."
        ),
    ] = "Allowed"
    reviews: Annotated[
        tuple[Review, ...],
        Field(
            max_length=MAX_PHASES,
            json_schema_extra={
                "x-kubernetes-list-type": "atomic",
                "x-kubernetes-validations": cel(
                    (
                        (
                            "self.map(r, has(r.inputs) ? r.inputs.map(i, has(i.text) ? i.text.size() : 0).sum() : 0)"
                            f".sum() <= {MAX_TEXTS_BYTES}"
                        ),
                        "all texts of reviews together must be at most 64 KiB; upload longer ones and use object",
                    )
                ),
            },
            description="reviews of phases with a gate, in the order in which they were given.",
        ),
    ] = ()


def _spec_rules() -> list[JsonValue]:
    rules = (
        *immutable(AudioJobSpec, AudioJobSpec.MUTABLE),
        ("!oldSelf.cancel || self.cancel", "cancel cannot be taken back; create a new AudioJob"),
        (
            (
                "!has(oldSelf.reviews) || (has(self.reviews) && self.reviews.size() >= oldSelf.reviews.size() && "
                "oldSelf.reviews.all(i, r, self.reviews[i] == r))"
            ),
            "reviews cannot be changed or removed, only added; kubectl patch --type json adds one at /spec/reviews/-",
        ),
    )
    message = "most fields cannot be changed after creation; create a new AudioJob"
    return [as_one(rules, "self == oldSelf", message)]


AudioJobSpec.model_config["json_schema_extra"] = {"x-kubernetes-validations": _spec_rules()}
AudioJobSpec.model_rebuild(force=True)


def end_rules() -> list[JsonValue]:
    """Rules of the whole object: what is asked of a job that has ended is refused, as nobody would do it."""
    until_the_end = AudioJobSpec.MUTABLE - AudioJobSpec.MUTABLE_AT_THE_END
    rules = tuple(immutable_at_the_end(AudioJobSpec, until_the_end))
    return [as_one(rules, goes_on(TERMINAL_STATES), "the job has ended; create a new AudioJob, perhaps with retryOf")]
