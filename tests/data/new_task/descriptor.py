"""ReverseText: letters in reverse. A task that tests add to a copy of the sources."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.descriptor import (
    AttemptSize,
    ImageFamily,
    Input,
    Output,
    Reuse,
    Served,
    TaskDescriptor,
    TaskParameters,
)


class ReverseTextParameters(TaskParameters):
    """How often."""

    times: Annotated[int, Field(ge=1, le=9, description="times is how often the text is reversed. Default 1.")] = 1


TASK: Final = TaskDescriptor(
    name="ReverseText",
    summary="Writes the letters of a text in reverse.",
    page="reverse-text.md",
    parameters=ReverseTextParameters,
    inputs=(Input("source", ("text/plain",)),),
    outputs=(Output("text", ("text/plain",)),),
    reuse=Reuse.BY_DEFAULT,
    served=Served.ANY,
    image=ImageFamily.RUNNER_TORCH,
    size=AttemptSize(cpu="2", memory="128Mi", scratch="1Gi"),
)
