"""Align: when each word of lyrics is sung, found in the vocals."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.descriptor import (
    MEDIA,
    UNKNOWN,
    AttemptSize,
    ImageFamily,
    Input,
    Output,
    Reuse,
    Served,
    TaskDescriptor,
    TaskParameters,
)


class AlignParameters(TaskParameters):
    """How the words are looked for. Times that the lyrics have are kept."""

    language: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,2}$",
                max_length=20,
                description="language that is sung, such as en or pt-BR. Default: what the lyrics say, or what their "
                "letters tell.",
            ),
        ]
        | None
    ) = None


TASK: Final = TaskDescriptor(
    name="Align",
    summary="Finds in the vocals when each word of the lyrics is sung, where the lyrics do not say it.",
    page="karaoke.md",
    parameters=AlignParameters,
    inputs=(Input("lyrics", ("application/json", UNKNOWN)), Input("vocals", (*MEDIA, UNKNOWN))),
    outputs=(
        Output("lyrics", ("application/json",)),
        Output("lrc", ("text/x-lrc",), optional=True),
        Output("srt", ("application/x-subrip",), optional=True),
        Output("vtt", ("text/vtt",), optional=True),
        Output("ass", ("text/x-ssa",), optional=True),
    ),
    reuse=Reuse.BY_DEFAULT,
    served=Served.OWN_INPUTS,
    image=ImageFamily.RUNNER_MUSIC,
    size=AttemptSize(cpu="1", memory="1Gi", scratch="2Gi"),
)
