"""Publish: files into a library, under names made of titles."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.descriptor import AttemptSize, Input, Output, Reuse, Served, TaskDescriptor, TaskParameters

ABOUT_INPUT: Final = "about"  # says what the piece is called, and is not published itself
Words = Annotated[str, Field(min_length=1, max_length=300)]


class PublishParameters(TaskParameters):
    """Words that file names are made of. What is left out comes from the source; names are cleaned in any case."""

    title: (
        Annotated[Words, Field(description="title of the piece. Default: the source's, else the job's name.")] | None
    ) = None
    artist: Annotated[Words, Field(description="artist. Default: the source's artist or uploader.")] | None = None
    album: Annotated[Words, Field(description="album. Default: the source's.")] | None = None
    date: Annotated[Words, Field(description="date, such as 2026-03-01. Default: the source's.")] | None = None


TASK: Final = TaskDescriptor(
    name="Publish",
    summary="Puts its inputs into the library of spec.destination, under names made of titles.",
    page="publish.md",
    parameters=PublishParameters,
    inputs=(
        Input(ABOUT_INPUT, ("*/*",), optional=True, metadata_only=True),
        Input("*", ("*/*",)),
    ),
    outputs=(Output("published", ("application/json",)),),
    reuse=Reuse.NEVER,
    reads_metadata=True,
    served=Served.NEVER,
    size=AttemptSize(cpu="100m", memory="256Mi", scratch="5Gi"),
    publishes=True,
)
