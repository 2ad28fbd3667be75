"""Normalize: any media file to 44.1 kHz stereo WAV."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.descriptor import (
    MEDIA,
    UNKNOWN,
    AttemptSize,
    Input,
    Output,
    Reuse,
    Served,
    TaskDescriptor,
    TaskParameters,
)


class NormalizeParameters(TaskParameters):
    """Limits of a conversion. The result is always what later phases read: 44.1 kHz, stereo, 16-bit WAV."""

    max_duration_seconds: Annotated[
        int,
        Field(ge=1, le=604_800, description="maxDurationSeconds refuses files that play longer. Default 6 h."),
    ] = 6 * 3600


TASK: Final = TaskDescriptor(
    name="Normalize",
    summary="Turns the sound of any media file into the WAV that later tasks read: 44.1 kHz, stereo, 16 bits.",
    page="media.md",
    parameters=NormalizeParameters,
    inputs=(Input("source", (*MEDIA, UNKNOWN)),),
    outputs=(Output("audio", ("audio/wav",)),),
    reuse=Reuse.BY_DEFAULT,
    served=Served.OWN_INPUTS,
    intermediate=True,
    size=AttemptSize(cpu="500m", memory="512Mi", scratch="5Gi"),
)
