"""What each container format can hold: codecs, cover, chapters, tags. One table, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from audiojob_runner.media.tags.place import TagForm

# The tags that are kept or set. Others are left behind: what strangers write into files is not passed on unseen.
TAG_NAMES: Final = ("title", "artist", "album", "date", "comment", "track", "genre")

# Encoders by the coding that they write.
AUDIO_ENCODERS: Final = {
    "mp3": "libmp3lame",
    "aac": "aac",
    "opus": "libopus",
    "vorbis": "libvorbis",
    "flac": "flac",
    "pcm_s16le": "pcm_s16le",
    "pcm_s24le": "pcm_s24le",
}
VIDEO_ENCODERS: Final = {"h264": "libx264"}


class CoverForm(StrEnum):
    """How a container holds a cover picture."""

    NONE = "None"
    STREAM = "Stream"  # a picture among the streams, marked as attached
    ATTACHMENT = "Attachment"  # a file inside the file
    TAG = "Tag"  # a FLAC picture block, in text, among the tags


@dataclass(frozen=True, slots=True)
class Container:
    """One kind of file. ``muxer`` is ffmpeg's name. The first of ``audio`` is what it is encoded as by default."""

    name: str
    muxer: str
    media_type: str
    audio: tuple[str, ...]
    video: tuple[str, ...] = ()
    cover: CoverForm = CoverForm.NONE
    chapters: bool = False
    tags: TagForm = TagForm.SINGLE
    front_index: bool = False  # an index that can be moved to the front, for players that start before the end

    def holds(self, codec: str) -> bool:
        """Whether a stream of this coding can be put in as it is."""
        return codec in self.audio or codec in self.video


_MP4_AUDIO: Final = ("aac", "alac", "mp3", "ac3", "eac3", "opus")
_MP4_VIDEO: Final = ("h264", "hevc", "av1", "vp9", "mpeg4")
_PCM: Final = (
    "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw",
)  # fmt: skip
_MATROSKA_AUDIO: Final = ("opus", "vorbis", "aac", "mp3", "flac", "ac3", "eac3", "alac", *_PCM)

CONTAINERS: Final[dict[str, Container]] = {
    container.name: container
    for container in (
        Container("mp3", "mp3", "audio/mpeg", ("mp3",), cover=CoverForm.STREAM, chapters=True, tags=TagForm.ID3),
        Container(
            "m4a", "ipod", "audio/mp4", ("aac", "alac"), cover=CoverForm.STREAM, chapters=True, tags=TagForm.MP4,
            front_index=True,
        ),
        Container("opus", "opus", "audio/ogg", ("opus",), cover=CoverForm.TAG, chapters=True, tags=TagForm.VORBIS),
        Container("flac", "flac", "audio/flac", ("flac",), cover=CoverForm.STREAM, tags=TagForm.VORBIS),
        Container("wav", "wav", "audio/wav", _PCM),
        Container("ogg", "ogg", "audio/ogg", ("vorbis",), cover=CoverForm.TAG, tags=TagForm.VORBIS),
        Container(
            "mp4", "mp4", "video/mp4", _MP4_AUDIO, _MP4_VIDEO, CoverForm.STREAM, chapters=True, tags=TagForm.MP4,
            front_index=True,
        ),
        Container(
            "mkv", "matroska", "video/x-matroska", _MATROSKA_AUDIO,
            (*_MP4_VIDEO, "vp8", "theora", "mpeg1video", "mpeg2video", "prores"), CoverForm.ATTACHMENT, chapters=True,
        ),
        Container("webm", "webm", "video/webm", ("opus", "vorbis"), ("vp9", "vp8", "av1"), chapters=True),
    )
}  # fmt: skip

_TOGETHER: Final[dict[frozenset[str], str]] = {
    frozenset({"mp4"}): "mp4",
    frozenset({"mp4", "m4a"}): "mp4",
    frozenset({"webm"}): "webm",
    frozenset({"webm", "weba"}): "webm",
}


def merged_extension(extensions: Sequence[str]) -> str:
    """The container for several files put together without conversion."""
    return _TOGETHER.get(frozenset(extensions), "mkv")
