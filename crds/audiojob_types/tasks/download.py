"""Download: one media file from an address into the store."""

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

# By intent: sites' own format ids differ from page to page and from week to week.
Format = Literal[
    "BestAudio",
    "BestVideo",
    "Video2160p",
    "Video1440p",
    "Video1080p",
    "Video720p",
    "Video480p",
    "Video360p",
]
Container = Literal["original", "mp3", "m4a", "opus", "flac", "mp4"]
NO_BANDWIDTH_LIMIT: Final = 1_099_511_627_776
SUBTITLES: Final = ("application/ttml+xml", "application/x-subrip", "text/vtt", "text/x-ssa")
SOUND_CONTAINERS: Final = ("mp3", "m4a", "opus", "flac")

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,2}$", max_length=20)]

_SOUND_IN_VIDEO: Final = "container: mp3, m4a, opus and flac cannot hold video; leave format at BestAudio"
_VIDEO_IN_SOUND: Final = "container: mp4 needs a format with video, such as Video720p; for sound alone use m4a"
_UNBOUND: Final = "allowLive needs maxRecordingSeconds: a live stream has no end of its own"


_SOUND_RULE: Final = (
    "!has(self.container) || !(self.container in ['mp3', 'm4a', 'opus', 'flac']) || "
    "!has(self.format) || self.format == 'BestAudio'"
)
_VIDEO_RULE: Final = (
    "!has(self.container) || self.container != 'mp4' || (has(self.format) && self.format != 'BestAudio')"
)
_LIVE_RULE: Final = (
    "!has(self.allowLive) || !self.allowLive || (has(self.maxRecordingSeconds) && self.maxRecordingSeconds > 0)"
)


class DownloadParameters(TaskParameters):
    """What to download of the source, in what form, and within what limits. The source itself is an input."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (_SOUND_RULE, _SOUND_IN_VIDEO), (_VIDEO_RULE, _VIDEO_IN_SOUND), (_LIVE_RULE, _UNBOUND)
            )
        }
    )

    format: Annotated[
        Format,
        Field(
            description="format selects what is downloaded from a page: BestAudio, BestVideo, or VideoNNNp for the "
            "best video up to that height, with its audio. A file has one format only. Default BestAudio."
        ),
    ] = "BestAudio"
    container: Annotated[
        Container,
        Field(
            description="container of the file: original keeps what the site sends; mp3, m4a, opus and flac (audio) "
            "and mp4 (video) are converted from it, without loss where the codec allows. Default original."
        ),
    ] = "original"
    max_bytes: Annotated[
        int,
        Field(
            ge=1,
            le=1_099_511_627_776,
            description="maxBytes ends the download when more bytes arrive. Default 4 GiB.",
        ),
    ] = 4 * 1024**3
    max_duration_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=604_800,
            description="maxDurationSeconds refuses sources that say they play longer. Default 6 h.",
        ),
    ] = 6 * 3600
    timeout_seconds: Annotated[
        int,
        Field(ge=1, le=604_800, description="timeoutSeconds ends a download that takes longer. Default 6 h."),
    ] = 6 * 3600
    max_bytes_per_second: Annotated[
        int,
        Field(
            ge=16_384,
            le=NO_BANDWIDTH_LIMIT,
            description="maxBytesPerSecond limits the bandwidth of all connections together. Default: no limit.",
        ),
    ] = NO_BANDWIDTH_LIMIT
    allow_live: Annotated[
        bool,
        Field(
            description="allowLive records a live stream (HLS) from now on, for maxRecordingSeconds at most. "
            "Default false."
        ),
    ] = False
    max_recording_seconds: Annotated[
        int,
        Field(ge=0, le=86_400, description="maxRecordingSeconds ends the recording of a live stream."),
    ] = 0
    thumbnail: Annotated[bool, Field(description="thumbnail adds the source's picture. Default false.")] = False
    subtitles: Annotated[
        tuple[Language, ...],
        Field(
            max_length=10,
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="subtitles adds subtitles in these languages (en, pt-BR), where the source has them.",
        ),
    ] = ()
    automatic_subtitles: Annotated[
        bool,
        Field(
            description="automaticSubtitles accepts machine-made subtitles where there are no others. Default false."
        ),
    ] = False
    info: Annotated[
        bool,
        Field(description="info adds the metadata of the source, chapters included, as JSON. Default false."),
    ] = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.container in SOUND_CONTAINERS and self.format != "BestAudio":
            raise ValueError(_SOUND_IN_VIDEO)
        if self.container == "mp4" and self.format == "BestAudio":
            raise ValueError(_VIDEO_IN_SOUND)
        if self.allow_live and not self.max_recording_seconds:
            raise ValueError(_UNBOUND)
        return self

    @property
    def repeatable(self) -> bool:
        """A broadcast is another one every time."""
        return not self.allow_live


TASK: Final = TaskDescriptor(
    name="Download",
    summary="Fetches the audio or video of an address, a page or a file, into the store.",
    page="download.md",
    parameters=DownloadParameters,
    inputs=(Input("source", (*MEDIA, UNKNOWN)),),
    outputs=(
        Output("source", (*MEDIA, UNKNOWN)),
        Output("thumbnail", ("image/jpeg", "image/png", "image/webp"), optional=True),
        Output("subtitles-*", SUBTITLES, optional=True),
        Output("info", ("application/json",), optional=True),
    ),
    reuse=Reuse.BY_DEFAULT,
    reads_metadata=True,
    served=Served.NEVER,
    size=AttemptSize(cpu="100m", memory="512Mi", scratch="5Gi"),
    fetches=True,
    resumes=True,
)
