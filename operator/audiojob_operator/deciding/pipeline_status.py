"""The status of an AudioPipeline."""

from __future__ import annotations

from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineStatus


def pipeline_status(pipeline: AudioPipeline) -> AudioPipelineStatus:
    """What status should say: a column of kubectl shows one value, so the phases are one."""
    return AudioPipelineStatus(
        observed_generation=pipeline.metadata.generation,
        phases=", ".join(phase.name for phase in pipeline.spec.phases),
    )
