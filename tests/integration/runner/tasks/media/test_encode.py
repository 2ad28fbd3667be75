"""The encoding wrapper with the real ffmpeg: what is written is what was asked for, and nothing else."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.media.examine import examine_streams
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.ffmpeg_encode import COPY, Chapter, EncodeRequest, EncodeStream, StreamKind, encode
from audiojob_runner.media.streams import MediaFile
from audiojob_runner.media.tags.found import TagValue, joined

TAGS = {
    "title": "Tïtle = 1; #2 \\.",
    "artist": "Somebody",
    "album": "Some album",
    "date": "2001",
    "comment": "first line\nsecond line",
    "track": "3/9",
    "genre": "Jazz",
}
CHAPTERS = (Chapter(0, 1, "One"), Chapter(1, 4, "Two; three"))


def sound(folder: Path, codec: str = COPY) -> EncodeStream:
    return EncodeStream(folder / "film.mp4", "mov", 1, StreamKind.AUDIO, "aac", codec)


def film(folder: Path, codec: str = COPY) -> EncodeStream:
    return EncodeStream(folder / "silent.mp4", "mov", 0, StreamKind.VIDEO, "h264", codec)


def cover(folder: Path) -> EncodeStream:
    return EncodeStream(folder / "picture.png", "png_pipe", 0, StreamKind.COVER, "png")


def read_back(target: Path) -> MediaFile:
    return examine_streams(target, threading.Event())


def run(target: Path, container: str, *streams: EncodeStream, **fields: Any) -> list[float]:
    positions: list[float] = []
    given: dict[str, Any] = {"max_seconds": 60, "max_bytes": 10**8, "tags": TAGS, "chapters": CHAPTERS} | fields
    encode(EncodeRequest(streams, target, container, **given), positions.append, threading.Event())
    return positions


@pytest.mark.parametrize(
    ("container", "codec", "keeps_chapters", "keeps_cover"),
    [
        ("mp3", "mp3", True, True), ("m4a", COPY, True, True), ("m4a", "aac", True, True), ("opus", "opus", True, True),
        ("flac", "flac", False, True), ("wav", "pcm_s24le", False, False), ("ogg", "vorbis", False, True),
        ("mp4", COPY, True, True), ("mkv", "opus", True, True), ("webm", "opus", True, False),
    ],
)  # fmt: skip
def test_tags_cover_and_chapters_are_there_when_read_back(
    sounds: Path, tmp_path: Path, container: str, codec: str, keeps_chapters: bool, keeps_cover: bool
) -> None:
    target = tmp_path / f"out.{container}"
    streams = [sound(sounds, codec), *([cover(sounds)] if keeps_cover else [])]
    positions = run(target, container, *streams)
    found = read_back(target)
    assert [stream.codec for stream in found.sounds] == ["aac" if codec == COPY else codec]
    assert dict(found.tags) == TAGS
    assert [chapter.title for chapter in found.chapters] == (["One", "Two; three"] if keeps_chapters else [])
    assert [stream.codec for stream in found.covers] == (["mjpeg"] if keeps_cover else [])
    assert found.films == ()
    assert positions == sorted(positions)
    assert list(tmp_path.iterdir()) == [target], "nothing but the result is left"


SEVERAL: dict[str, TagValue] = {
    "artist": ("Alice", "Björk", "C; D"),
    "genre": ("Jazz", "Bebop"),
    "comment": ("one", "two"),
    "title": "Élise",
    "date": "2001",
    "track": "3",
}


@pytest.mark.parametrize(
    ("container", "codec", "several"),
    [
        ("mp3", "mp3", True), ("m4a", "aac", True), ("mp4", "aac", True), ("opus", "opus", True),
        ("flac", "flac", True), ("ogg", "vorbis", True), ("wav", "pcm_s16le", False), ("mkv", "opus", False),
    ],
)  # fmt: skip
def test_several_values_stay_apart_where_the_form_has_them(
    sounds: Path, tmp_path: Path, container: str, codec: str, several: bool
) -> None:
    target = tmp_path / f"out.{container}"
    picture = [cover(sounds)] if container not in ("wav", "mkv") else []
    run(target, container, sound(sounds, codec), *picture, tags=SEVERAL)
    found = read_back(target)
    want = SEVERAL if several else {name: joined(value, "; ") for name, value in SEVERAL.items()}
    assert dict(found.tags) == want
    assert len(found.covers) == len(picture)
    checked = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(target), "-map", "0:a", "-f", "null", "-"], capture_output=True, check=True
    )
    assert checked.stderr == b"", "every other reader takes the file as well"


@pytest.mark.parametrize("comment", ["plain", "Ünïcode\n2nd line", "x" * 20_000])
def test_comments_of_mp3_are_where_players_look(sounds: Path, tmp_path: Path, comment: str) -> None:
    target = tmp_path / "out.mp3"
    run(target, "mp3", sound(sounds, "mp3"), cover(sounds), tags={"comment": comment, "title": "T"})
    content = target.read_bytes()
    assert (content.count(b"COMM"), content.count(b"TXXX")) == (1, 0)
    assert dict(read_back(target).tags) == {"comment": comment[:10_000], "title": "T"}
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format_tags=comment", "-of", "csv=p=0", str(target)],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert shown.stdout.strip().startswith((comment[:5], f'"{comment[:5]}'))


def test_film_and_sound_from_two_files_are_put_together_unchanged(sounds: Path, tmp_path: Path) -> None:
    target = tmp_path / "both.mp4"
    run(target, "mp4", film(sounds), sound(sounds))
    found = read_back(target)
    assert [(stream.codec, stream.width, stream.fps) for stream in found.films] == [("h264", 160, 10.0)]
    assert [stream.codec for stream in found.sounds] == ["aac"]
    head = target.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat"), "players may start before the end has arrived"


def test_a_film_comes_out_smaller_and_slower(sounds: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.mp4"
    run(target, "mp4", replace(film(sounds, "h264"), max_height=90, fps=5), sound(sounds, "aac"))
    (shown,) = read_back(target).films
    assert (shown.width, shown.height, shown.fps) == (120, 90, 5.0)


def test_a_film_out_of_a_transport_stream_is_copied(sounds: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.ts"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(sounds / "film.mp4"), "-c", "copy", str(source)]
    subprocess.run(command, check=True, timeout=60)
    stream = EncodeStream(source, "mpegts", 0, StreamKind.VIDEO, "h264")
    target = tmp_path / "film.mp4"
    run(target, "mp4", stream, EncodeStream(source, "mpegts", 1, StreamKind.AUDIO, "aac"))
    assert read_back(target).films[0].width == 160


def test_tags_that_were_not_asked_for_are_left_behind(sounds: Path, tmp_path: Path) -> None:
    source = tmp_path / "tagged.ogg"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(sounds / "tone.ogg"), "-c", "copy"]
    subprocess.run([*command, "-metadata", "lyrics=canary", "-metadata", "title=canary", str(source)], check=True)
    target = tmp_path / "out.ogg"
    run(target, "ogg", EncodeStream(source, "ogg", 0, StreamKind.AUDIO, "vorbis"), tags={"artist": "Somebody"})
    assert b"canary" in source.read_bytes()
    assert b"canary" not in target.read_bytes()
    assert dict(read_back(target).tags) == {"artist": "Somebody"}


def test_the_same_request_gives_the_same_bytes(sounds: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(tmp_path / name, "mkv", film(sounds, "h264"), sound(sounds, "opus"), cover(sounds))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_result_that_grows_too_large_is_no_result(sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(FfmpegError) as caught:
        run(tmp_path / "out.wav", "wav", sound(sounds, "pcm_s16le"), max_bytes=100_000)
    assert caught.value.failure is Failure.TOO_LARGE
    assert list(tmp_path.iterdir()) == []


def test_a_result_ends_at_its_longest(sounds: Path, tmp_path: Path) -> None:
    run(tmp_path / "out.wav", "wav", sound(sounds, "pcm_s16le"), max_seconds=2)
    document = json.dumps(read_back(tmp_path / "out.wav").duration_seconds)
    assert float(document) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(("container", "codec"), [("mp3", "mp3"), ("flac", "flac"), ("opus", "opus"), ("m4a", "aac")])
def test_a_disk_that_is_full_at_the_very_end_is_told(sounds: Path, tmp_path: Path, container: str, codec: str) -> None:
    """What fits the buffers fails only when the file is closed, and ffmpeg then ends with 0."""
    target = tmp_path / "out"
    target.symlink_to("/dev/full")
    with pytest.raises(FfmpegError) as caught:
        run(target, container, sound(sounds, codec), max_seconds=1)
    assert caught.value.failure is Failure.DISK_FULL
    assert list(tmp_path.iterdir()) == []


def test_what_fails_leaves_nothing(sounds: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((sounds / "film.mp4").read_bytes()[:2_000])
    with pytest.raises(FfmpegError):
        run(tmp_path / "out.m4a", "m4a", replace(sound(sounds), path=broken))
    assert list(tmp_path.iterdir()) == [broken]


def test_cancelling_leaves_no_program_and_no_file(sounds: Path, tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    request = EncodeRequest((sound(sounds, "mp3"),), tmp_path / "out.mp3", "mp3", max_seconds=60, max_bytes=10**8)
    with pytest.raises(FfmpegError) as caught:
        encode(request, lambda _: None, cancelled)
    assert caught.value.failure is Failure.CANCELLED
    assert list(tmp_path.iterdir()) == []
