"""Inspect: what is at an address, without downloading it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.descriptor import MEDIA, UNKNOWN, Input, Output, Reuse, Served, TaskDescriptor, TaskParameters


class InspectParameters(TaskParameters):
    """Limits of an inspection. Playlists are listed flat: their entries are named, not opened."""

    max_entries: Annotated[
        int,
        Field(ge=1, le=5_000, description="maxEntries limits how many entries of a playlist are listed. Default 100."),
    ] = 100
    timeout_seconds: Annotated[
        int,
        Field(ge=1, le=3_600, description="timeoutSeconds ends an inspection that takes longer. Default 300."),
    ] = 300


TASK: Final = TaskDescriptor(
    name="Inspect",
    summary="Says what is at an address, as JSON, without downloading it.",
    page="download.md",
    parameters=InspectParameters,
    inputs=(Input("source", (*MEDIA, UNKNOWN)),),
    outputs=(Output("info", ("application/json",)),),
    reuse=Reuse.IF_ALLOWED,  # what an address leads to is asked for because it changes
    reads_metadata=True,
    served=Served.NEVER,
    fetches=True,
)
