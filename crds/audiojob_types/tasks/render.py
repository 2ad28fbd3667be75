"""Render: a song's words and its accompaniment as a karaoke film."""

from __future__ import annotations

from typing import Annotated, Final, Literal

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

FilmFormat = Literal["mp4", "webm"]
FilmSize = Literal["Video2160p", "Video1080p", "Video720p", "Video480p", "Video360p", "Video240p"]
Effort = Literal["Low", "Medium", "High"]
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$", max_length=7)]
CardText = Annotated[str, Field(max_length=200)]


class RenderParameters(TaskParameters):
    """How the film looks and sounds."""

    format: Annotated[
        FilmFormat, Field(description="format is mp4 (H.264 and AAC) or webm (VP9 and Opus). Default mp4.")
    ] = "mp4"
    video_size: Annotated[
        FilmSize,
        Field(
            description="videoSize is Video2160p (4K), Video1080p, Video720p, Video480p, Video360p or Video240p, all "
            "16:9. Default Video1080p."
        ),
    ] = "Video1080p"
    frame_rate: Annotated[
        int, Field(ge=10, le=60, description="frameRate is pictures per second. Fewer are made faster. Default 30.")
    ] = 30
    effort: Annotated[
        Effort,
        Field(
            description="effort of the encoder: Low, Medium or High. More takes longer, and makes smaller files of the "
            "same quality. Default Medium."
        ),
    ] = "Medium"
    background_color: Annotated[
        Colour, Field(description="backgroundColor where there is no input background, as #rrggbb. Default #101028.")
    ] = "#101028"
    text_color: Annotated[Colour, Field(description="textColor of words not yet sung. Default #FFFFFF.")] = "#FFFFFF"
    sung_color: Annotated[Colour, Field(description="sungColor of words sung. Default #FFC800.")] = "#FFC800"
    second_text_color: Annotated[
        Colour, Field(description="secondTextColor is textColor of the second voice. Default #C8F0FF.")
    ] = "#C8F0FF"
    second_sung_color: Annotated[
        Colour, Field(description="secondSungColor is sungColor of the second voice. Default #30B0FF.")
    ] = "#30B0FF"
    rows: Annotated[
        int,
        Field(
            ge=2,
            le=6,
            multiple_of=2,
            description="rows of words on the screen at most: 2, 4 or 6. The more, the smaller. Default 4.",
        ),
    ] = 4
    text_size: Annotated[
        int, Field(ge=50, le=150, description="textSize in percent of the usual size. Default 100.")
    ] = 100
    title: (
        Annotated[CardText, Field(description="title on the card at the beginning. Default that of the song.")] | None
    ) = None
    artist: Annotated[CardText, Field(description="artist below the title. Default that of the song.")] | None = None
    title_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=30,
            description="titleSeconds is how long title and artist are shown at the beginning, if nobody sings yet. 0 "
            "shows none. Default 5.",
        ),
    ] = 5
    end_text: (
        Annotated[
            CardText,
            Field(
                description="endText is shown when all is sung, if the song goes on for two seconds. Empty shows none. "
                "Default title and artist."
            ),
        ]
        | None
    ) = None
    pause_seconds: Annotated[
        int,
        Field(
            ge=3,
            le=60,
            description="pauseSeconds is how long nobody sings until the screen is cleared and a countdown leads to "
            "the next words. Default 6.",
        ),
    ] = 6
    countdown: Annotated[
        bool, Field(description="countdown shows 3, 2, 1 before words after a pause. Default true.")
    ] = True
    guide_vocal_decibels: (
        Annotated[
            int,
            Field(
                ge=-60,
                le=6,
                description="guideVocalDecibels mixes the input vocals in at this level. Default: no vocals.",
            ),
        ]
        | None
    ) = None
    loudness_lufs: Annotated[
        int,
        Field(
            ge=-40,
            le=-5,
            description="loudnessLufs is how loud the whole is (EBU R 128), as far as its peaks stay below -1 dBTP. "
            "Default -14.",
        ),
    ] = -14
    cdg: Annotated[
        bool,
        Field(description="cdg adds a zip of CD+G and MP3, as karaoke programs and machines take it. Default false."),
    ] = False
    thumbnail_format: Annotated[
        Literal["jpeg", "png"], Field(description="thumbnailFormat is jpeg or png. Default jpeg.")
    ] = "jpeg"
    thumbnail_milliseconds: (
        Annotated[
            int,
            Field(
                ge=0,
                le=86_400_000,
                description="thumbnailMilliseconds is where in the film the thumbnail is taken. Default the title, "
                "else the first words.",
            ),
        ]
        | None
    ) = None
    max_duration_seconds: Annotated[
        int,
        Field(ge=1, le=21_600, description="maxDurationSeconds refuses songs that play longer. Default 2 h."),
    ] = 2 * 3600


TASK: Final = TaskDescriptor(
    name="Render",
    summary="Makes a karaoke film of a song's words and its accompaniment, and a thumbnail.",
    page="karaoke.md",
    parameters=RenderParameters,
    inputs=(
        Input("lyrics", ("application/json", UNKNOWN)),
        Input("accompaniment", (*MEDIA, UNKNOWN)),
        Input("vocals", (*MEDIA, UNKNOWN), optional=True),
        Input("background", ("image/*", "video/*", UNKNOWN), optional=True),
    ),
    outputs=(
        Output("video", ("video/mp4", "video/webm")),
        Output("thumbnail", ("image/jpeg", "image/png")),
        Output("cdg", ("application/zip",), optional=True),
    ),
    reuse=Reuse.BY_DEFAULT,
    reads_metadata=True,
    served=Served.OWN_INPUTS,
    image=ImageFamily.RUNNER_MUSIC,
    size=AttemptSize(cpu="1", memory="2Gi", scratch="10Gi"),
)
