"""Which pipeline a job runs: its immutable revision, without the phases that the job leaves out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import ValidationError

from audiojob_operator.building.precedence import phases_before
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import PhaseObservation
from audiojob_operator.records.settings import Images, Revision
from audiojob_types import constants as c
from audiojob_types.contract import CONTRACT
from audiojob_types.descriptor import ImageFamily
from audiojob_types.resources.job import AudioJob, AudioJobSpec, PhaseState, Retry
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec, Phase

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
    """The pipeline as it is now, with the images and the retry policy that hold for it by default."""
    spec = pipeline.spec if pipeline.spec.retry else pipeline.spec.model_copy(update={"retry": Retry()})
    content = _content(spec, images, CONTRACT)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    name = f"{pipeline.metadata.name}-{digest[:_HASH_CHARACTERS]}"
    return Revision(name=name, pipeline=pipeline.metadata.name, spec=spec, images=images)


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
        "data": _content(revision.spec, revision.images, revision.contract),
    }


def parse_revision(obj: Object) -> Revision:
    """A stored ControllerRevision, read back; another version may have stored it.

    Unknown fields are passed over, as the API server's own controllers do. One without a contract is older than the
    number. Raises :class:`InvalidRevisionError` naming what is wrong.
    """
    metadata = obj.get("metadata", {})
    name = metadata.get("name", "")
    try:
        data = obj["data"]
        spec = AudioPipelineSpec.read(data["spec"])
        return Revision(
            name=name,
            pipeline=metadata["labels"][c.LABEL_PIPELINE],
            spec=spec,
            images=_images(data["images"], spec),
            contract=int(data.get("contract", 0)),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (KeyError, TypeError, ValueError) as error:
        problem = repr(error)
    raise InvalidRevisionError(f"ControllerRevision {name!r} is not one that this version knows: {problem}")


def _content(spec: AudioPipelineSpec, images: Images, contract: int) -> Object:
    return {
        **({"contract": contract} if contract else {}),
        "spec": spec.to_wire(),
        "images": {family.key: image for family, image in images.by_family.items()},
    }


def _images(stored: Mapping[str, str], spec: AudioPipelineSpec) -> Images:
    """The images of the stored families: a revision may be older than a family that none of its phases needs."""
    needed = {phase.task.descriptor.image for phase in spec.phases}
    return Images({family: stored[family.key] for family in ImageFamily if family in needed or family.key in stored})


def unconfirmed_children(job: AudioJob, children: Iterable[PhaseObservation]) -> tuple[str, ...]:
    """Names of Jobs that status calls Running and that ``children`` lacks: a lagging cache, or really gone."""
    seen = {child.job_name for child in children}
    return tuple(
        phase.job_name
        for phase in job.status.phases
        if phase.state is PhaseState.RUNNING and phase.job_name and phase.pod_uid is None and phase.job_name not in seen
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
    return frozenset(phase.name for phase in pipeline.phases if phase.task.descriptor.publishes)


def _bypass(pipeline: AudioPipelineSpec, phase: Phase, left_out: frozenset[str]) -> tuple[str, ...]:
    named = {each.name: each for each in pipeline.phases}
    found: list[str] = []
    for name in phases_before(pipeline, phase):
        found += _bypass(pipeline, named[name], left_out) if name in left_out else (name,)
    return tuple(dict.fromkeys(found))
