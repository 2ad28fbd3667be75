"""FindLyrics: the words of a song from the administrator's service, by its title and artist."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.descriptor import MEDIA, UNKNOWN, Input, Output, Reuse, Served, TaskDescriptor, TaskParameters

Name = Annotated[str, Field(max_length=300)]


class FindLyricsParameters(TaskParameters):
    """What is looked for, where others than the song itself know better. Where to ask is the administrator's matter."""

    title: Annotated[Name, Field(description="title of the song. Default: what its tags or its page say.")] | None = (
        None
    )
    artist: Annotated[Name, Field(description="artist of the song. Default likewise.")] | None = None
    album: Annotated[Name, Field(description="album of the song. Default likewise.")] | None = None
    timeout_seconds: Annotated[
        int,
        Field(ge=1, le=600, description="timeoutSeconds ends the search; the job goes on without words. Default 60."),
    ] = 60


TASK: Final = TaskDescriptor(
    name="FindLyrics",
    summary="Looks for the words of a song in the service that the administrator has named, if there is one.",
    page="karaoke.md",
    parameters=FindLyricsParameters,
    inputs=(
        Input("source", (*MEDIA, UNKNOWN), optional=True, metadata_only=True),
        Input("audio", MEDIA, optional=True, metadata_only=True),
    ),
    outputs=(Output("found", ("text/x-lrc", "text/plain"), optional=True),),
    reuse=Reuse.IF_ALLOWED,  # a service learns
    reads_metadata=True,
    served=Served.NEVER,
    asks_for_lyrics=True,
)
