"""Which phases a pool's workers may do. All else takes a Job of its own."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final

from audiojob_operator.building.inputs import FROM_JOB
from audiojob_operator.building.quantity import quantity_bytes
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.records.workers import PoolView, WhyOwnJob
from audiojob_types.contract import Device, PhaseInputFile
from audiojob_types.descriptor import Served
from audiojob_types.reasons import Reason
from audiojob_types.resources.pipeline import Phase
from audiojob_types.tasks import Task

_CONTRACT: Final = 3  # of the first runners that workers are
_PLAYED: Final = ("audio/", "video/", "image/", "application/octet-stream", "*/*")  # what a decoder may be given


def unsuited(draft: Draft, phase: Phase, request: AttemptRequest, pool: PoolView) -> WhyOwnJob | None:
    """Why no worker of the pool may do the attempt; None if each of them may."""
    return next((why for why, rule in _RULES.items() if not rule(draft, phase, request, pool)), None)


def _is_served(_draft: Draft, phase: Phase, _request: AttemptRequest, pool: PoolView) -> bool:
    return phase.task in pool.tasks and phase.task.descriptor.served is not Served.NEVER


def _has_todays_image(draft: Draft, phase: Phase, request: AttemptRequest, _pool: PoolView) -> bool:
    """Workers run the images of this release, whatever their tags; a revision's phase file is for those of its own."""
    if request.revision.contract < _CONTRACT:
        return False
    by_family, family = draft.observed.settings.images.by_family, phase.task.descriptor.image
    return request.revision.images.by_family.get(family) == by_family.get(family)


def _has_the_device(draft: Draft, phase: Phase, request: AttemptRequest, pool: PoolView) -> bool:
    if request.device is not pool.device:
        return False
    return pool.device is Device.CPU or draft.observed.settings.gpu.resource_of(phase) == pool.gpu_resource


def _is_in_its_queue(_draft: Draft, _phase: Phase, request: AttemptRequest, pool: PoolView) -> bool:
    return request.kueue_queue in (None, pool.kueue_local_queue)


def _fits_its_queue(draft: Draft, _phase: Phase, _request: AttemptRequest, pool: PoolView) -> bool:
    """A worker that the queue has no room for, ever, is not waited for."""
    most = draft.observed.queue_max_gpus
    return most is None or pool.gpus <= most


def _has_the_memory(draft: Draft, phase: Phase, request: AttemptRequest, pool: PoolView) -> bool:
    """Not again where a worker had too little: an attempt that died for want of memory has a pod of its own."""
    record = draft.phases[phase.name]
    if record.pod_uid is not None and record.reason == Reason.OUT_OF_MEMORY:
        return False
    return request.memory_bytes <= pool.memory_bytes


def _has_the_scratch(_draft: Draft, phase: Phase, _request: AttemptRequest, pool: PoolView) -> bool:
    return quantity_bytes(phase.resources.scratch) <= pool.scratch_bytes


def _does_its_work(_draft: Draft, _phase: Phase, request: AttemptRequest, _pool: PoolView) -> bool:
    """Not one that only compares its inputs with a donor's, and needs none of what a worker has loaded."""
    return request.donor is None


def _is_trusted(draft: Draft, phase: Phase, request: AttemptRequest, pool: PoolView) -> bool:
    served = phase.task.descriptor.served
    if served is Served.ANY or pool.any_input:
        return True
    return all(not _is_media(phase, file) or _is_ours(draft, phase, file) for file in request.inputs)


def _is_media(phase: Phase, file: PhaseInputFile) -> bool:
    """Whether a decoder may read it: not a text, nor what the task takes as text or JSON alone."""
    if file.text is not None or file.about is not None:
        return False
    inputs = phase.task.descriptor.inputs
    given = next((each for each in inputs if each.name == file.name), None)
    given = given or next((each for each in inputs if fnmatchcase(file.name, each.name)), None)
    return given is None or any(kind.startswith(_PLAYED) for kind in given.media_types)


def _is_ours(draft: Draft, phase: Phase, file: PhaseInputFile) -> bool:
    """Whether Normalize wrote it in the same AudioJob."""
    makers = {binding.from_ for binding in phase.inputs if binding.name == file.name}
    maker = next(iter(makers), FROM_JOB)
    normalizes = any(each.name == maker and each.task is Task.NORMALIZE for each in draft.pipeline.phases)
    return normalizes and file.manifest is not None and file.manifest.key.startswith(f"{draft.prefix(maker)}/")


_Rule = Callable[[Draft, Phase, AttemptRequest, PoolView], bool]
_RULES: Final[dict[WhyOwnJob, _Rule]] = {
    WhyOwnJob.OTHER_TASK: _is_served,
    WhyOwnJob.OTHER_IMAGE: _has_todays_image,
    WhyOwnJob.OTHER_DEVICE: _has_the_device,
    WhyOwnJob.OTHER_QUEUE: _is_in_its_queue,
    WhyOwnJob.MORE_GPUS: _fits_its_queue,
    WhyOwnJob.MORE_MEMORY: _has_the_memory,
    WhyOwnJob.MORE_SCRATCH: _has_the_scratch,
    WhyOwnJob.REUSE: _does_its_work,
    WhyOwnJob.FOREIGN_INPUT: _is_trusted,
}
