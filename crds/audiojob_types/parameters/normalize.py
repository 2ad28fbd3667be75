"""Parameters of Normalize: any media file to 44.1 kHz stereo WAV."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audiojob_types.base import WireModel


class NormalizeParameters(WireModel):
    """Limits of a conversion. The result is always what later phases read: 44.1 kHz, stereo, 16-bit WAV."""

    max_duration_seconds: Annotated[
        int,
        Field(ge=1, le=604_800, description="maxDurationSeconds refuses files that play longer. Default 6 h."),
    ] = 6 * 3600
