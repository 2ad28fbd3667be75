"""Which pipeline a job runs, and which of job, phase, pipeline and built-in default holds for each knob."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from audiojob_operator.model import Images, Object, PhaseObservation, Revision
from audiojob_types import constants as c
from audiojob_types.base import WireModel
from audiojob_types.contract import Task
from audiojob_types.job import AudioJob, AudioJobSpec, PhaseState, Retry
from audiojob_types.ordering import DEFAULT_PRIORITY
from audiojob_types.parameters import resolve_parameters
from audiojob_types.pipeline import AudioPipeline, AudioPipelineSpec, Phase

DEFAULT_TTL_SECONDS: Final = 86_400
_HASH_CHARACTERS: Final = 10


class InvalidRevisionError(ValueError):
    """A stored ControllerRevision that is not one of ours, or of a version that cannot be read."""


# ---------------------------------------------------------------- revisions


def revision_name(job: AudioJob, children: Iterable[PhaseObservation]) -> str | None:
    """The revision that the job is bound to: by its status, else by a Job made before the status write was lost.

    None means that the job has not started: it takes the pipeline as it is when it starts.
    """
    if job.status.pipeline_revision:
        return job.status.pipeline_revision
    bound = sorted((child for child in children if child.revision), key=lambda child: (child.created, child.job_name))
    return bound[0].revision if bound else None


def make_revision(pipeline: AudioPipeline, images: Images) -> Revision:
    """The pipeline as it is now, images included."""
    content = _content(pipeline.spec, images)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    name = f"{pipeline.metadata.name}-{digest[:_HASH_CHARACTERS]}"
    return Revision(name=name, pipeline=pipeline.metadata.name, spec=pipeline.spec, images=images)


def revision_object(revision: Revision, namespace: str) -> Object:
    """The ControllerRevision to store in the job's namespace. It has no owner: several jobs share it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": revision.name,
            "namespace": namespace,
            "labels": {
                c.LABEL_NAME: c.APP_NAME,
                c.LABEL_PART_OF: c.APP_NAME,
                c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR,
                c.LABEL_PIPELINE: revision.pipeline,
            },
        },
        "revision": 1,
        "data": _content(revision.spec, revision.images),
    }


def parse_revision(obj: Object) -> Revision:
    """A stored ControllerRevision, read back. Raises :class:`InvalidRevisionError` naming what is wrong."""
    metadata = obj.get("metadata", {})
    name = metadata.get("name", "")
    try:
        data = obj["data"]
        return Revision(
            name=name,
            pipeline=metadata["labels"][c.LABEL_PIPELINE],
            spec=AudioPipelineSpec.model_validate(data["spec"]),
            images=Images(runner=data["images"]["runner"], runner_torch=data["images"]["runnerTorch"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InvalidRevisionError(f"ControllerRevision {name!r} is not a pipeline revision: {error}") from None


def _content(spec: AudioPipelineSpec, images: Images) -> Object:
    return {
        "spec": spec.to_wire(),
        "images": {"runner": images.runner, "runnerTorch": images.runner_torch},
    }


def unconfirmed_children(job: AudioJob, children: Iterable[PhaseObservation]) -> tuple[str, ...]:
    """Names of Jobs that status calls Running and that ``children`` lacks: a lagging cache, or really gone."""
    seen = {child.job_name for child in children}
    return tuple(
        phase.job_name
        for phase in job.status.phases
        if phase.state is PhaseState.RUNNING and phase.job_name and phase.job_name not in seen
    )


# ---------------------------------------------------------------- phases that a job leaves out


def own_pipeline(job: AudioJob, pipeline: AudioPipeline) -> AudioPipeline:
    """The pipeline without what the job does not ask for: phases that publish, where it names no destination.

    What came after such a phase comes after those before it.
    """
    left_out = left_out_phases(job.spec, pipeline.spec)
    if not left_out:
        return pipeline
    phases = tuple(
        phase.model_copy(update={"after": _bypass(pipeline.spec, phase, left_out)})
        if left_out & set(phases_before(pipeline.spec, phase))
        else phase
        for phase in pipeline.spec.phases
        if phase.name not in left_out
    )
    return pipeline.model_copy(update={"spec": pipeline.spec.model_copy(update={"phases": phases})})


def left_out_phases(spec: AudioJobSpec, pipeline: AudioPipelineSpec) -> frozenset[str]:
    """Names of the phases that the job does not run."""
    if spec.destination is not None:
        return frozenset()
    return frozenset(phase.name for phase in pipeline.phases if phase.task is Task.PUBLISH)


def _bypass(pipeline: AudioPipelineSpec, phase: Phase, left_out: frozenset[str]) -> tuple[str, ...]:
    named = {each.name: each for each in pipeline.phases}
    found: list[str] = []
    for name in phases_before(pipeline, phase):
        found += _bypass(pipeline, named[name], left_out) if name in left_out else (name,)
    return tuple(dict.fromkeys(found))


# ---------------------------------------------------------------- precedence


def effective_device(spec: AudioJobSpec, phase: Phase) -> str:
    """Auto, GPU or CPU. The job's wish acts only on phases that can use a GPU."""
    if phase.device == "CPU":
        return "CPU"
    return spec.device or phase.device


def effective_retry(spec: AudioJobSpec, phase: Phase, pipeline: AudioPipelineSpec) -> Retry:
    """The retry policy of one phase of one job, as a whole from the strongest layer that has one."""
    return spec.retry or phase.retry or pipeline.retry or Retry()


def effective_priority(spec: AudioJobSpec, pipeline: AudioPipelineSpec | None) -> int:
    """1 to 10; 10 is the most urgent."""
    return spec.priority or (pipeline.priority if pipeline else None) or DEFAULT_PRIORITY


def effective_deadline_seconds(spec: AudioJobSpec, pipeline: AudioPipelineSpec | None) -> int | None:
    """Seconds from the job's start; None is no deadline."""
    return spec.active_deadline_seconds or (pipeline.active_deadline_seconds if pipeline else None)


def effective_ttl_seconds(spec: AudioJobSpec, pipeline: AudioPipelineSpec | None) -> int:
    """Seconds from the job's end until it is deleted; 0 is at once."""
    for value in (spec.ttl_seconds_after_finished, pipeline.ttl_seconds_after_finished if pipeline else None):
        if value is not None:
            return value
    return DEFAULT_TTL_SECONDS


def phase_parameters(spec: AudioJobSpec, phase: Phase) -> WireModel:
    """The phase's parameters with every field set. Raises ``InvalidParameters`` naming the field."""
    key = phase.task.parameter_key
    layers: list[dict[str, Any] | None] = [(source.parameters or {}).get(key) for source in (phase, spec)]
    if phase.task is Task.CONTAINER:
        return resolve_parameters(phase.task, layers[0], _known_values(phase, layers[1]))
    return resolve_parameters(phase.task, *layers)


def program_defaults(phase: Phase) -> dict[str, Any]:
    """The values that a Container phase has a default for: the only ones that a job may set."""
    values: dict[str, Any] = ((phase.parameters or {}).get(phase.task.parameter_key) or {}).get("values") or {}
    return values


def _known_values(phase: Phase, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a job gives for this phase; the rest of its values are for other Container phases of the pipeline."""
    values = (given or {}).get("values")
    if given is None or not isinstance(values, dict):
        return given
    return {**given, "values": {name: value for name, value in values.items() if name in program_defaults(phase)}}


def phases_before(pipeline: AudioPipelineSpec, phase: Phase) -> tuple[str, ...]:
    """Names of the phases that must have succeeded before ``phase`` starts: ``after``, else the one before it."""
    if phase.after is not None:
        return phase.after
    names = [other.name for other in pipeline.phases]
    index = names.index(phase.name)
    return (names[index - 1],) if index else ()
