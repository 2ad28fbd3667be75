"""Transcode: any sound or film into another form."""

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

TranscodeFormat = Literal["mp3", "m4a", "opus", "flac", "wav", "ogg", "mp4"]
VideoSize = Literal["Video1080p", "Video720p", "Video480p", "Video360p"]

LOSSLESS: Final = ("flac", "wav")
TagText = Annotated[str, Field(max_length=1_000)]


class TranscodeParameters(TaskParameters):
    """What the result is. Fields left out keep what the source has, within what the format can hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "!has(self.bitrateKilobits) || !has(self.format) || !(self.format in ['flac', 'wav'])",
                    "bitrateKilobits must be left out with format flac or wav, which lose nothing",
                ),
            )
        }
    )

    format: Annotated[
        TranscodeFormat,
        Field(
            description="format is the form of the result: mp3, m4a (AAC), opus, flac, wav, ogg (Vorbis), or mp4 "
            "(H.264 and AAC), which keeps the picture. Default mp3."
        ),
    ] = "mp3"
    bitrate_kilobits: (
        Annotated[
            int,
            Field(
                ge=16,
                le=512,
                description="bitrateKilobits is the bit rate of the audio, in kbit/s. Default by format: mp3 192, "
                "m4a and mp4 160, opus 128, ogg about 160. Formats "
                "use the nearest rate that they support. Not for flac and wav.",
            ),
        ]
        | None
    ) = None
    sample_rate: (
        Annotated[
            int,
            Field(
                ge=8_000,
                le=192_000,
                description="sampleRate of the audio, in Hz. Formats use the nearest rate that they support.",
            ),
        ]
        | None
    ) = None
    channels: (
        Annotated[int, Field(ge=1, le=8, description="channels of the audio: 1 mono, 2 stereo, up to 8.")] | None
    ) = None
    loudness_lufs: (
        Annotated[
            int,
            Field(
                ge=-40,
                le=-5,
                description="loudnessLufs brings the whole to this loudness (EBU R 128) by one change of level, as far "
                "as its peaks stay below -1 dBTP. -14 is usual for streaming, -23 for broadcasting.",
            ),
        ]
        | None
    ) = None
    copy_sound: Annotated[
        bool,
        Field(
            description="copySound copies the audio without encoding it again where the format can hold it and no "
            "other field changes it. Copied audio is not checked for damage. Default false."
        ),
    ] = False
    video_size: Annotated[
        VideoSize,
        Field(
            description="videoSize limits the shorter side of the video of mp4: Video1080p, Video720p, Video480p or "
            "Video360p. Nothing is enlarged. Default Video720p."
        ),
    ] = "Video720p"
    max_frame_rate: Annotated[
        int,
        Field(ge=1, le=120, description="maxFrameRate limits the frames per second of mp4. Default 60."),
    ] = 60
    keep_tags: Annotated[
        bool,
        Field(
            description="keepTags takes title, artist, album, date, comment, track, genre and chapters over from the "
            "source. Default true."
        ),
    ] = True
    keep_cover: Annotated[
        bool, Field(description="keepCover takes the cover picture over from the source. Default true.")
    ] = True
    title: Annotated[TagText, Field(description="title is set in place of the source's.")] | None = None
    artist: Annotated[TagText, Field(description="artist is set in place of the source's.")] | None = None
    album: Annotated[TagText, Field(description="album is set in place of the source's.")] | None = None
    date: Annotated[TagText, Field(description="date is set in place of the source's.")] | None = None
    comment: Annotated[TagText, Field(description="comment is set in place of the source's.")] | None = None
    track: Annotated[TagText, Field(description="track is set in place of the source's, for example 3/9.")] | None = (
        None
    )
    genre: Annotated[TagText, Field(description="genre is set in place of the source's.")] | None = None
    max_duration_seconds: Annotated[
        int,
        Field(ge=1, le=604_800, description="maxDurationSeconds refuses files that play longer. Default 6 h."),
    ] = 6 * 3600
    max_bytes: Annotated[
        int,
        Field(
            ge=1_024,
            le=1_099_511_627_776,
            description="maxBytes ends the work when the result grows larger. Default 8 GiB.",
        ),
    ] = 8 * 1024**3

    @model_validator(mode="after")
    def _lossless_has_no_bit_rate(self) -> Self:
        if self.bitrate_kilobits is not None and self.format in LOSSLESS:
            raise ValueError(f"bitrateKilobits must be left out with format {self.format}, which loses nothing")
        return self


TASK: Final = TaskDescriptor(
    name="Transcode",
    summary="Converts sound or film into another format, with its tags, cover and chapters.",
    page="media.md",
    parameters=TranscodeParameters,
    inputs=(Input("source", (*MEDIA, UNKNOWN)),),
    outputs=(Output("media", ("audio/mpeg", "audio/mp4", "audio/ogg", "audio/flac", "audio/wav", "video/mp4")),),
    reuse=Reuse.BY_DEFAULT,
    reads_metadata=True,
    served=Served.OWN_INPUTS,
    size=AttemptSize(cpu="1", memory="2Gi", scratch="10Gi"),
)
