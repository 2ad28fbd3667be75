"""Parameters of Inspect: what is at an address, without downloading it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audiojob_types.base import WireModel


class InspectParameters(WireModel):
    """Limits of a look. Playlists are listed flat: their entries are named, not opened."""

    max_entries: Annotated[
        int,
        Field(ge=1, le=5_000, description="maxEntries of a playlist are listed, the first ones. Default 100."),
    ] = 100
    timeout_seconds: Annotated[
        int,
        Field(ge=1, le=3_600, description="timeoutSeconds ends a look that takes longer. Default 300."),
    ] = 300
