"""Covers: what a picture file holds beside its pixels costs nothing, and changes nothing that is shown."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.media import hostile
from tests.integration.runner.tasks.media.test_transcode import picture_size

from audiojob_runner.errors import PhaseError
from audiojob_types.tasks import Task

PICTURE = ("-f", "lavfi", "-i", "testsrc=size=64x48:duration=0.1", "-frames:v", "1")
TONE = ("-f", "lavfi", "-i", "sine=440:duration=0.2")


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def text_bomb(picture: bytes) -> bytes:
    """The PNG with 400 MB of text in half a megabyte."""
    text = zlib.compress(b"a" * 4_000_000, 9)
    texts = b"".join(png_chunk(b"zTXt", b"key%d\0\0" % number + text) for number in range(100))
    return picture[:33] + texts + picture[33:]


def stuffed_jpeg(picture: bytes) -> bytes:
    """The JPEG with 16 MB of notes."""
    notes = b"".join(bytes([0xFF, marker]) + struct.pack(">H", 65_000) + bytes(64_998) for marker in range(0xE1, 0xEE))
    return picture[:2] + notes * 18 + picture[2:]


def in_mp3(folder: Path, picture: bytes, kind: bytes) -> Path:
    tone = hostile.ffmpeg(folder, "tone.mp3", *TONE).read_bytes()
    path = folder / "song.mp3"
    path.write_bytes(hostile.id3(hostile.picture_frame(kind, picture)) + tone)
    return path


def in_matroska(folder: Path, picture: bytes, kind: str) -> Path:
    (folder / "cover").write_bytes(picture)
    note = ["-metadata:s:t", f"mimetype={kind}", "-metadata:s:t", "filename=cover.png"]
    return hostile.ffmpeg(folder, "song.mkv", *TONE, "-attach", "cover", *note, "-c:a", "flac")


CODECS = {"png": "png", "jpeg": "mjpeg"}
TAKEN = """
import resource, sys, threading
from pathlib import Path
from audiojob_runner.media.ffmpeg_still import StillRequest, still
source, target, demuxer, index, codec = sys.argv[1:]
still(StillRequest(Path(source), Path(target), demuxer, int(index), codec), threading.Event())
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


@pytest.mark.parametrize(
    ("form", "place"), [("png", "tags"), ("png", "attachment"), ("png", "file"), ("jpeg", "attachment")]
)
def test_what_a_cover_holds_beside_its_pixels_is_not_kept_in_memory(tmp_path: Path, form: str, place: str) -> None:
    picture = hostile.ffmpeg(tmp_path, f"cover.{form}", *PICTURE)
    picture.write_bytes(text_bomb(picture.read_bytes()) if form == "png" else stuffed_jpeg(picture.read_bytes()))
    source, demuxer, index = picture, f"{form}_pipe", 0
    if place == "tags":
        source, demuxer, index = in_mp3(tmp_path, picture.read_bytes(), f"image/{form}".encode()), "mp3", -1
    elif place == "attachment":
        source, demuxer, index = in_matroska(tmp_path, picture.read_bytes(), f"image/{form}"), "matroska", 1
    taken = [sys.executable, "-c", TAKEN, str(source), str(tmp_path / "still.jpg"), demuxer, str(index), CODECS[form]]
    megabytes = subprocess.run(taken, check=True, capture_output=True, timeout=100).stdout
    assert picture_size(tmp_path / "still.jpg") == (64, 48)
    assert int(megabytes) < 200, "with all of its texts it takes more than 400"


def test_packed_headers_do_not_fill_the_memory(bench: Bench, tmp_path: Path) -> None:
    """Nine tenths of a megabyte that are three gigabytes in ffprobe."""
    (tmp_path / "a.mkv").write_bytes(hostile.matroska_packed_headers(100))
    with pytest.raises(PhaseError, match="more memory than any sound needs"):
        bench.run(Task.NORMALIZE, tmp_path / "a.mkv")


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("plain.jpg", ["-c:v", "mjpeg", "-pix_fmt", "yuvj444p"]),
        ("palette.png", ["-pix_fmt", "pal8"]),
        ("clear.png", ["-vf", "format=rgba,colorchannelmixer=aa=0.5"]),
        ("wide.png", ["-pix_fmt", "rgb48be"]),
        ("stretched.jpg", ["-vf", "setsar=2/1"]),
        ("stretched.png", ["-vf", "setsar=2/1"]),
        ("lossy.webp", ["-c:v", "libwebp"]),
        ("exact.webp", ["-c:v", "libwebp", "-lossless", "1"]),
        ("clear.webp", ["-c:v", "libwebp", "-vf", "format=yuva420p,colorchannelmixer=aa=0.5"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_cover_looks_as_its_file_does(bench: Bench, tmp_path: Path, name: str, coding: list[str]) -> None:
    picture = hostile.ffmpeg(tmp_path, name, *PICTURE, *coding)
    source = in_mp3(tmp_path, picture.read_bytes(), b"image/" + picture.suffix[1:].encode())
    (output,) = bench.run(Task.THUMBNAIL, source, format="png").outputs
    shown = hostile.ffmpeg(tmp_path, "shown.png", "-i", name, "-vf", "scale=iw*sar:ih", "-pix_fmt", "rgb24")
    assert pixels(tmp_path, output.path) == pixels(tmp_path, shown)


def pixels(folder: Path, picture: Path) -> bytes:
    return hostile.ffmpeg(folder, "pixels.raw", "-i", str(picture), "-f", "rawvideo", "-pix_fmt", "rgb24").read_bytes()
