"""Reads the tags and pictures of a file by the container that the probe found. What is not there is for ffprobe."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from audiojob_runner.media.tags.ape import read_ape
from audiojob_runner.media.tags.found import MAX_PICTURES, Found, Picture, TagValue
from audiojob_runner.media.tags.id3 import id3_end, read_id3, read_id3v1
from audiojob_runner.media.tags.mp4 import read_mp4
from audiojob_runner.media.tags.riff import read_riff
from audiojob_runner.media.tags.vorbis import read_flac, read_ogg


def read(path: Path, demuxer: str) -> tuple[dict[str, TagValue], tuple[Picture, ...]]:
    """The texts by their names, and the pictures, the likeliest cover first.

    Empty for containers whose text ffprobe reads as well, and of Matroska, whose pictures are streams.
    """
    tags: dict[str, TagValue] = {}
    pictures: list[Picture] = []
    for found in _blocks(path, demuxer):
        tags = {**found.tags(), **tags}
        pictures += found.pictures
    return tags, tuple(sorted(pictures, key=lambda picture: picture.rank)[:MAX_PICTURES])


def _blocks(path: Path, demuxer: str) -> list[Found]:
    """What there is, the more telling first."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return [found for found in _read(file, size, demuxer) if found is not None]


def _read(file: BinaryIO, size: int, demuxer: str) -> list[Found | None]:
    if demuxer in ("mp3", "aac"):
        return [read_id3(file), read_ape(file, size), read_id3v1(file, size)]
    if demuxer == "flac":
        return [read_flac(file, id3_end(file)), read_id3(file)]
    if demuxer == "ogg":
        return [read_ogg(file)]
    if demuxer == "mov":
        return [read_mp4(file, size)]
    if demuxer in ("wav", "aiff"):
        return list(read_riff(file, size))
    return []
