"""Lyrics: the words of a song, with their times where anybody knows them, in one record and in the usual forms."""

from __future__ import annotations

from typing import Annotated, Final, Literal

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

# As audiojob_types.documents.lyrics names forms, which descriptors do not import.
LyricsFormat = Literal["Auto", "Plain", "LRC", "SRT", "WebVTT", "ASS"]
TEXT: Final = ("text/*", "application/json", "application/x-subrip", "application/ttml+xml", UNKNOWN)


class LyricsParameters(TaskParameters):
    """How the words are read. Where they come from is a matter of inputs."""

    format: Annotated[
        LyricsFormat,
        Field(description="format of the input lyrics; Auto tells the others apart. Plain has no times. Default Auto."),
    ] = "Auto"
    language: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,2}$",
                max_length=20,
                description="language of the words, such as en or pt-BR. Default: what the lyrics say, or what their "
                "letters tell.",
            ),
        ]
        | None
    ) = None
    shift_milliseconds: Annotated[
        int,
        Field(
            ge=-600_000,
            le=600_000,
            description="shiftMilliseconds moves all times: later if positive, earlier if negative. Default 0.",
        ),
    ] = 0


TASK: Final = TaskDescriptor(
    name="Lyrics",
    summary="Finds the words of a song, with their times where they have some, and writes LRC, SRT, WebVTT and ASS.",
    page="karaoke.md",
    parameters=LyricsParameters,
    inputs=(
        Input("lyrics", TEXT, optional=True),
        Input("source", (*MEDIA, UNKNOWN), optional=True),
        Input("audio", MEDIA, optional=True, metadata_only=True),
        Input("found", TEXT, optional=True),
        Input("*", TEXT, optional=True),
    ),
    outputs=(
        Output("lyrics", ("application/json",)),
        Output("lrc", ("text/x-lrc",), optional=True),
        Output("srt", ("application/x-subrip",), optional=True),
        Output("vtt", ("text/vtt",), optional=True),
        Output("ass", ("text/x-ssa",), optional=True),
    ),
    reuse=Reuse.BY_DEFAULT,
    reads_metadata=True,
    served=Served.OWN_INPUTS,
    size=AttemptSize(cpu="100m", memory="512Mi", scratch="5Gi"),
)
