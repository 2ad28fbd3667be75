"""Inputs that reviews hand in: the phases from the gate on read them in place of what phases before it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from audiojob_operator.building.inputs import FROM_JOB
from audiojob_operator.building.precedence import phases_before
from audiojob_types.constants import MAX_REVIEW_TAKES
from audiojob_types.contract import ALL_OUTPUTS
from audiojob_types.resources.job import AudioJobSpec, PhaseState, PhaseStatus, Review
from audiojob_types.resources.jobspec import PassedOver, reviews_that_count
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase, PhaseInputBinding
from audiojob_types.resources.source import ReviewInput


@dataclass(frozen=True, slots=True)
class Reviews:
    """The reviews of a job that count, by phase, and those that cannot be used."""

    counted: Mapping[str, Review] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()

    @classmethod
    def of(cls, spec: AudioJobSpec, pipeline: AudioPipelineSpec) -> Reviews:
        """Those of phases at which the pipeline may stop."""
        if not spec.reviews:
            return cls()
        gates = {phase.name: takes(pipeline, phase) for phase in pipeline.phases if phase.gate}
        counted, passed_over = reviews_that_count(spec.reviews, gates)
        return cls(counted, tuple(passed_over))


def takes(pipeline: AudioPipelineSpec, gate: Phase) -> tuple[str, ...]:
    """Names of inputs that the phase's review may hand in: outputs of phases before it that are read from it on."""
    if not gate.gate:
        return ()
    beyond = from_gate_on(pipeline, gate)
    readers = [phase for phase in pipeline.phases if phase.name in beyond]
    names = (_name(binding) for phase in readers for binding in _replaceable(phase, beyond))
    return tuple(dict.fromkeys(names))[:MAX_REVIEW_TAKES]


def from_gate_on(pipeline: AudioPipelineSpec, gate: Phase) -> frozenset[str]:
    """The phase with the gate, and all that come after it or read what it or they make."""
    beyond = {gate.name}
    for phase in pipeline.phases:
        if beyond & {*phases_before(pipeline, phase), *(binding.from_ for binding in phase.inputs)}:
            beyond.add(phase.name)
    return frozenset(beyond)


def names_handed_in(phase: str, reviews: Reviews, records: Mapping[str, PhaseStatus]) -> tuple[str, ...]:
    """What the phase's review hands in; once the phase has begun that is what it had handed in by then."""
    record, review = records.get(phase), reviews.counted.get(phase)
    if record is not None and has_begun(record):
        return record.review_inputs or ()
    return tuple(given.name for given in review.handed_in) if review is not None and review.approved else ()


def handed_in(
    phase: Phase, pipeline: AudioPipelineSpec, reviews: Reviews, records: Mapping[str, PhaseStatus]
) -> dict[str, ReviewInput]:
    """What the phase reads in place of outputs, by the names of its inputs. The last gate on the way to it decides."""
    found: dict[str, ReviewInput] = {}
    for gate in pipeline.phases:
        review = reviews.counted.get(gate.name)
        if review is None or not review.handed_in or not _has_passed(gate, phase, records):
            continue
        names = names_handed_in(gate.name, reviews, records)
        given = {each.name: each for each in review.handed_in if each.name in names}
        beyond = from_gate_on(pipeline, gate)
        if phase.name in beyond:
            wanted = {binding.name: given.get(_name(binding)) for binding in _replaceable(phase, beyond)}
            found |= {name: each for name, each in wanted.items() if each is not None}
    return found


def has_begun(record: PhaseStatus) -> bool:
    """Whether the phase has started, or was taken over, so that its inputs are settled."""
    return record.attempt > 0 or record.state is not PhaseState.WAITING or record.reuse_off is True


def content_handed_in(spec: AudioJobSpec, pipeline: AudioPipelineSpec, record: PhaseStatus) -> frozenset[object]:
    """What a phase that has begun was handed in, to compare with others."""
    names, review = record.review_inputs or (), Reviews.of(spec, pipeline).counted.get(record.name)
    return frozenset(given.model_dump_json() for given in (review.handed_in if review else ()) if given.name in names)


def content_wanted(spec: AudioJobSpec, pipeline: AudioPipelineSpec, phase: str) -> frozenset[object]:
    """What a phase that has not begun would be handed in."""
    review = Reviews.of(spec, pipeline).counted.get(phase)
    return frozenset(given.model_dump_json() for given in (review.handed_in if review and review.approved else ()))


def _has_passed(gate: Phase, reader: Phase, records: Mapping[str, PhaseStatus]) -> bool:
    """Whether what the gate's review says is settled for the reader: it is the phase itself, or begins after it."""
    record = records.get(gate.name)
    return gate.name == reader.name or (record is not None and has_begun(record))


def _replaceable(phase: Phase, beyond: frozenset[str]) -> Iterator[PhaseInputBinding]:
    for binding in phase.inputs:
        about = phase.task.descriptor.reads_metadata_only(binding.name)
        one = binding.from_ != FROM_JOB and binding.output != ALL_OUTPUTS
        if one and binding.from_ not in beyond and not about:
            yield binding


def _name(binding: PhaseInputBinding) -> str:
    """The output that is read; where the pipeline leaves it out, as there is only one, the input's own name."""
    return binding.output or binding.name
