"""Thumbnail: one picture out of a film, or the cover of a song."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from audiojob_types.base import cel
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

PictureOrigin = Literal["Auto", "Still", "Cover"]
PictureFormat = Literal["jpeg", "png", "webp"]


class ThumbnailParameters(TaskParameters):
    """Which picture, and its form. It keeps its shape and is never enlarged."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "!has(self.timeMilliseconds) || !has(self.origin) || self.origin != 'Cover'",
                    "timeMilliseconds must be left out with origin: Cover, which has no time",
                )
            )
        }
    )

    origin: Annotated[
        PictureOrigin,
        Field(
            description="origin is Still (a picture of the film), Cover (the cover inside the file) or Auto: a still "
            "where there is a film, else the cover. Default Auto."
        ),
    ] = "Auto"
    time_milliseconds: (
        Annotated[
            int,
            Field(
                ge=0,
                le=604_800_000,
                description="timeMilliseconds is where in the film the still is taken. Default a tenth of its length.",
            ),
        ]
        | None
    ) = None
    format: Annotated[PictureFormat, Field(description="format is jpeg, png or webp. Default jpeg.")] = "jpeg"
    max_width: Annotated[
        int, Field(ge=16, le=4_096, description="maxWidth of the picture, in pixels. Default 1280.")
    ] = 1_280
    max_height: Annotated[
        int, Field(ge=16, le=4_096, description="maxHeight of the picture, in pixels. Default 1280.")
    ] = 1_280
    quality: Annotated[
        int, Field(ge=1, le=100, description="quality of jpeg and webp; more is larger and better. Default 85.")
    ] = 85

    @model_validator(mode="after")
    def _a_cover_has_no_time(self) -> Self:
        if self.origin == "Cover" and self.time_milliseconds is not None:
            raise ValueError("timeMilliseconds must be left out with origin: Cover, which has no time")
        return self


TASK: Final = TaskDescriptor(
    name="Thumbnail",
    summary="Takes one picture out of a film, or the cover of a song.",
    page="media.md",
    parameters=ThumbnailParameters,
    inputs=(Input("source", (*MEDIA, UNKNOWN)),),
    outputs=(Output("picture", ("image/jpeg", "image/png", "image/webp")),),
    reuse=Reuse.BY_DEFAULT,
    served=Served.OWN_INPUTS,
    size=AttemptSize(cpu="250m", memory="1Gi", scratch="1Gi"),
)
