"""Parameters of Publish: what the files are called where the source does not say it, or says it wrong."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audiojob_types.base import WireModel

Words = Annotated[str, Field(min_length=1, max_length=300)]


class PublishParameters(WireModel):
    """Words that file names are made of. What is left out comes from the source; names are cleaned in any case."""

    title: (
        Annotated[Words, Field(description="title of the piece. Default: the source's, else the job's name.")] | None
    ) = None
    artist: Annotated[Words, Field(description="artist. Default: the source's artist or uploader.")] | None = None
    album: Annotated[Words, Field(description="album. Default: the source's.")] | None = None
    date: Annotated[Words, Field(description="date, such as 2026-03-01. Default: the source's.")] | None = None
