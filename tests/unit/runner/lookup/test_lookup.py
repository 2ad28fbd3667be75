"""Which song is asked for, and what answers are taken for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audiojob_runner.lookup.answers import Found, UnusableAnswerError, choose, read_record, read_records
from audiojob_runner.lookup.songs import MAX_NAME, Song, alike, song_of


@pytest.mark.parametrize(
    ("wanted", "told", "song"),
    [
        pytest.param({}, [{"title": "Song", "artist": "Who", "album": "LP"}], Song("Song", "Who", "LP"), id="tags"),
        pytest.param({"title": "Mine"}, [{"title": "Song", "artist": "Who"}], Song("Mine", "Who"), id="the user first"),
        pytest.param({}, [{"title": "Song"}, {"artist": "Who"}], Song("Song", "Who"), id="each name from where it is"),
        pytest.param(
            {},
            [{"title": "Who - Song (Official Video) [4K]", "artist": "who"}],
            Song("Song", "who"),
            id="what pages add is taken away",
        ),
        pytest.param({}, [{"title": "Who – Song"}], Song("Song", "Who"), id="an artist before a dash"),
        pytest.param(
            {}, [{"title": "One - Two", "artist": "Who"}], Song("One - Two", "Who"), id="a dash within the title"
        ),
        pytest.param(
            {"title": "Song (Official Video)", "artist": "Who"}, [], Song("Song (Official Video)", "Who"), id="as told"
        ),
        pytest.param(
            {}, [{"durationSeconds": 200}, {"durationSeconds": 199.5}], Song("", "", seconds=199.5), id="exact length"
        ),
        pytest.param(
            {},
            [{"title": 7, "artist": ["a"], "album": None, "durationSeconds": True}, {"durationSeconds": float("nan")}],
            Song("", ""),
            id="nonsense",
        ),
        pytest.param(
            {}, [{"title": "a\n\u202eb" + "c" * 999}], Song("a b" + "c" * (MAX_NAME - 3), ""), id="hostile"
        ),
    ],
)  # fmt: skip
def test_the_song(wanted: dict[str, str | None], told: list[dict[str, Any]], song: Song) -> None:
    assert song_of(wanted, told) == song


def test_names_are_alike_without_case_accents_and_signs() -> None:
    assert alike("Café del Mar!", "CAFE DEL MAR")
    assert alike("さくら", "さくら")
    assert not alike("One", "Two")
    assert not alike("", "")
    assert not alike("!", "?")


def answer(**fields: Any) -> bytes:
    return json.dumps({"trackName": "Song", "artistName": "Who", "duration": 200, **fields}).encode()


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        pytest.param(
            answer(syncedLyrics="[00:01.00]la", plainLyrics="la"),
            Found("Song", "Who", 200.0, "[00:01.00]la", "la"),
            id="good",
        ),
        pytest.param(answer(syncedLyrics=None, plainLyrics="la"), Found("Song", "Who", 200.0, "", "la"), id="no times"),
        pytest.param(answer(instrumental=True), Found("Song", "Who", 200.0, instrumental=True), id="instrumental"),
        pytest.param(
            answer(trackName=[], artistName={}, duration="200", syncedLyrics=7, plainLyrics=["x"], instrumental="yes"),
            Found(),
            id="wrong types",
        ),
        pytest.param(
            answer(syncedLyrics="x" * 600_000, duration=1e400), Found("Song", "Who"), id="more than lyrics may have"
        ),
        pytest.param(b'{"duration": NaN, "plainLyrics": "a\\ud800b"}', Found(plain="a?b"), id="half a character"),
        pytest.param(b'{"duration": ' + b"9" * 4_000 + b"}", Found(), id="a number of 4,000 digits"),
    ],
)
def test_an_answer(raw: bytes, found: Found) -> None:
    assert read_record(raw) == found


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"[]", b"7", b"[" * 200_000, b'{"a":' * 200_000, b"\xff\xfe\x00", b"9" * 5_000, b'"' + b"x" * 9],
    ids=["nothing", "a page", "a list", "a number", "nested", "nested objects", "no text", "digits", "no end"],
)
def test_an_answer_that_is_none(raw: bytes) -> None:
    with pytest.raises(UnusableAnswerError):
        read_record(raw)


def test_of_a_search_the_very_song_is_taken_one_with_times_first() -> None:
    song = Song("Song", "Who", seconds=200)
    raw = [
        answer(plainLyrics="la"),
        answer(plainLyrics="la", syncedLyrics="[00:01.00]la"),
        answer(duration=230, syncedLyrics="[00:02.00]other"),
        answer(artistName="Them", syncedLyrics="[00:03.00]x"),
    ]
    found = read_records(b"[" + b",".join([b"7", *raw]) + b"]")
    assert choose(found, song) == found[1]
    assert choose(found[2:], song) is None
    assert choose(found[2:], Song("Song", "Who")) == found[2]
    with pytest.raises(UnusableAnswerError):
        read_records(answer())
