"""Compose: scenes of pictures, clips, narration and texts into a film."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from audiojob_types.base import cel
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

Platform = Literal["YouTube", "YouTubeShorts", "TikTok", "InstagramReels", "InstagramFeed", "Facebook", "LinkedIn", "X"]
Shape = Literal["Landscape", "Portrait", "Square"]
FilmSize = Literal["Video1080p", "Video720p", "Video480p", "Video360p", "Video180p"]

SHAPES: Final[dict[str, Shape]] = {
    "YouTube": "Landscape",
    "YouTubeShorts": "Portrait",
    "TikTok": "Portrait",
    "InstagramReels": "Portrait",
    "InstagramFeed": "Square",
    "Facebook": "Landscape",
    "LinkedIn": "Landscape",
    "X": "Landscape",
}
"""The shape of films by where they are shown."""

_ONE_SHAPE: Final = "shape must be left out with platform, which has a shape of its own"


class ComposeParameters(TaskParameters):
    """The form of the film; what is in it is in the input scenes."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(("!has(self.platform) || !has(self.shape)", _ONE_SHAPE)),
        }
    )

    platform: (
        Annotated[
            Platform,
            Field(
                description="platform that the film is for, which sets its shape: YouTube, Facebook, LinkedIn and X "
                "landscape (16:9), YouTubeShorts, TikTok and InstagramReels portrait (9:16), InstagramFeed square."
            ),
        ]
        | None
    ) = None
    shape: (
        Annotated[
            Shape,
            Field(
                description="shape of the film where no platform is named: Landscape (16:9), Portrait (9:16) or "
                "Square. Default Landscape."
            ),
        ]
        | None
    ) = None
    size: Annotated[
        FilmSize,
        Field(
            description="size of the film's shorter side: Video1080p, Video720p, Video480p, Video360p, or Video180p "
            "for drafts. Default Video1080p."
        ),
    ] = "Video1080p"
    frames_per_second: Annotated[
        int, Field(ge=10, le=60, description="framesPerSecond of the film, such as 24, 25, 30 or 60. Default 30.")
    ] = 30
    loudness_lufs: (
        Annotated[
            int,
            Field(
                ge=-40,
                le=-5,
                description="loudnessLufs brings the film to this loudness (EBU R 128) by one change of level, as far "
                "as its peaks stay below -1 dBTP. -14 is usual for streaming. Default: the levels of the inputs.",
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _has_one_shape(self) -> Self:
        if self.platform is not None and self.shape is not None:
            raise ValueError(_ONE_SHAPE)
        return self


TASK: Final = TaskDescriptor(
    name="Compose",
    summary="Makes a film of scenes: pictures, clips, narration, texts and music.",
    page="video.md",
    parameters=ComposeParameters,
    inputs=(
        Input("scenes", ("application/json", "text/*", UNKNOWN)),
        Input("*", (*MEDIA, "image/*", UNKNOWN), optional=True),
    ),
    outputs=(
        Output("video", ("video/mp4",)),
        Output("thumbnail", ("image/jpeg",)),
        Output("chapters", ("text/vtt",), optional=True),
        Output("vtt", ("text/vtt",), optional=True),
        Output("srt", ("application/x-subrip",), optional=True),
    ),
    reuse=Reuse.BY_DEFAULT,
    served=Served.OWN_INPUTS,
    image=ImageFamily.RUNNER_MUSIC,
    size=AttemptSize(cpu="1", memory="1Gi", scratch="10Gi"),
)
