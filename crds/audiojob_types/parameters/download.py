"""Parameters of Download: one media file from a URL into the store, unchanged."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audiojob_types.base import WireModel


class DownloadParameters(WireModel):
    """Limits of a download. The source itself is an input, not a parameter."""

    max_bytes: Annotated[
        int,
        Field(
            ge=1,
            le=1_099_511_627_776,
            description="maxBytes ends the download when more bytes arrive. Default 4 GiB.",
        ),
    ] = 4 * 1024**3
    max_duration_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=604_800,
            description="maxDurationSeconds refuses sources that say they play longer. Default 6 h.",
        ),
    ] = 6 * 3600
