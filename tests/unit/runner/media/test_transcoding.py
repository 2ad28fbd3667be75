from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.ffmetadata import Chapter
from audiojob_runner.media.ffmpeg_encode import COPY, StreamKind
from audiojob_runner.media.films import check_film, limited_frame_rate
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.streams import MediaFile, PictureStream, SoundStream
from audiojob_runner.media.transcoding import Plan, plan, supported_rate
from audiojob_types.reasons import Reason
from audiojob_types.tasks.transcode import TranscodeParameters

SOURCE = Path("/work/source")
SOUND = MediaInfo("mov", "aac", 1, 44_100, 2, 60.0, True, True)
FILM = PictureStream(0, "h264", 1920, 1080, 25.0, 60.0)
COVER = PictureStream(2, "mjpeg", 0, 0, None, None, cover=True)
FOUND = MediaFile(
    "mov", 60.0, (SoundStream(1, "aac", 44_100, 2, 60.0),), (FILM,), (COVER,), 0, {"title": "Old", "genre": "Jazz"},
    (Chapter(0, 60, "All"),),
)  # fmt: skip


def planned(found: MediaFile = FOUND, sound: MediaInfo | None = SOUND, **wanted: Any) -> Plan:
    return plan(SOURCE, found, sound, TranscodeParameters.model_validate(wanted))


def test_a_film_becomes_a_film() -> None:
    made = planned(format="mp4", videoSize="Video480p", maxFrameRate=24)
    film, sound, cover = made.streams
    assert (film.codec, film.max_height, film.bit_rate, film.fps) == ("h264", 480, 2_500_000, 24)
    assert (sound.codec, sound.index, sound.source_codec) == ("aac", 1, "aac")
    assert cover.kind is StreamKind.COVER
    assert (made.tags, made.chapters, made.warnings) == ({"title": "Old", "genre": "Jazz"}, FOUND.chapters, ())


@pytest.mark.parametrize(
    ("form", "words"),
    [("mp3", ["film"]), ("flac", ["film", "chapters"]), ("wav", ["film", "cover", "chapters"])],
)
def test_what_a_form_cannot_hold_is_said(form: str, words: list[str]) -> None:
    warnings = planned(format=form).warnings
    assert len(warnings) == len(words)
    assert all(word in sentence for word, sentence in zip(words, warnings, strict=True))


def test_further_streams_are_counted() -> None:
    found = replace(FOUND, sounds=FOUND.sounds * 3, films=(FILM, FILM), covers=(COVER, COVER), others=4)
    assert planned(found, format="mp4").warnings == (
        "2 further sound track(s) left out.",
        "1 further film(s) left out.",
        "1 further cover(s) left out.",
        "4 subtitle or data stream(s) left out.",
    )


def test_tags_are_kept_set_or_left_behind() -> None:
    assert planned(title="New").tags == {"title": "New", "genre": "Jazz"}
    assert planned(title="New", keepTags=False).tags == {"title": "New"}
    assert planned(keepTags=False).chapters == ()
    assert planned(keepCover=False).streams[-1].kind is StreamKind.AUDIO


@pytest.mark.parametrize(
    ("wanted", "copied"),
    [
        ({"format": "m4a", "copySound": True}, True),
        ({"format": "m4a"}, False),
        ({"format": "mp3", "copySound": True}, False),
        ({"format": "m4a", "copySound": True, "loudnessLufs": -14}, False),
        ({"format": "m4a", "copySound": True, "channels": 2}, False),
    ],
)
def test_sound_is_copied_only_where_nothing_changes_it(wanted: dict[str, Any], copied: bool) -> None:
    made = planned(**wanted)
    assert (made.streams[0].codec == COPY) is copied


@pytest.mark.parametrize(
    ("codec", "rate", "want"),
    [
        ("mp3", 96_000, 48_000), ("mp3", 44_100, 44_100), ("opus", 44_100, 48_000), ("opus", 8_000, 8_000),
        ("vorbis", 192_000, 48_000), ("aac", 50_000, 64_000), ("flac", 96_000, 96_000), ("flac", 768_000, 384_000),
    ],
)  # fmt: skip
def test_the_nearest_rate_that_a_coding_has(codec: str, rate: int, want: int) -> None:
    assert supported_rate(codec, rate) == want


def test_a_mix_down_is_said() -> None:
    made = planned(sound=replace(SOUND, channels=6), format="mp3")
    assert made.streams[0].channels == 2
    assert "6 channels were mixed down to 2." in made.warnings


@pytest.mark.parametrize(
    ("found", "sound", "form", "part"),
    [
        pytest.param(replace(FOUND, films=()), SOUND, "mp4", "has no film", id="a song as a film"),
        pytest.param(replace(FOUND, sounds=()), None, "mp3", "no sound", id="a silent film as a song"),
    ],
)
def test_what_is_not_there_is_named(found: MediaFile, sound: MediaInfo | None, form: str, part: str) -> None:
    with pytest.raises(PhaseError, match=part) as caught:
        planned(found, sound, format=form)
    assert caught.value.reason is Reason.EMPTY_MEDIA


@pytest.mark.parametrize(
    ("film", "part"),
    [
        pytest.param(replace(FILM, encrypted=True), "DRM", id="encrypted"),
        pytest.param(replace(FILM, codec="magicyuv"), "magicyuv", id="a coding that is not listed"),
        pytest.param(replace(FILM, width=32_767, height=32_767), "32767 x 32767", id="too many pixels"),
        pytest.param(replace(FILM, width=20_000, height=2), "at most 16384", id="too wide"),
        pytest.param(replace(FILM, fps=100_000.0), "at most 1000", id="too many pictures a second"),
    ],
)
def test_films_beyond_the_limits_are_refused(film: PictureStream, part: str) -> None:
    with pytest.raises(PhaseError, match=part) as caught:
        check_film(film)
    assert (caught.value.exit_code, caught.value.reason) == (65, Reason.NOT_MEDIA)


@pytest.mark.parametrize(
    ("fps", "limit", "want"), [(25.0, 60, None), (60.0, 60, None), (120.0, 60, 60), (None, 60, 30), (None, 10, 10)]
)
def test_the_frame_rate_is_set_only_where_it_must_be(fps: float | None, limit: int, want: int | None) -> None:
    assert limited_frame_rate(replace(FILM, fps=fps), limit) == want
