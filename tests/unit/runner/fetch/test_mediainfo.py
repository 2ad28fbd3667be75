from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiojob_runner.fetch.mediainfo import (
    MAX_CHAPTERS,
    chapters,
    describe_item,
    describe_list,
    item_labels,
    labels,
    plain_date,
    plain_text,
    tags,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
KEYS = ("title", "duration", "chapters", "formats", "subtitles", "uploader", "artist", "webpage_url", "entries")


def test_an_item_is_told_in_our_own_words() -> None:
    found = describe_item(
        {
            "title": "Song", "channel": "Somebody", "duration": 12.5, "webpage_url": "https://example.com/1",
            "upload_date": "20260102", "formats": [{"format_id": "1", "ext": "m4a", "acodec": "aac", "url": "hidden"}],
            "subtitles": {"en": [], "live_chat": []}, "chapters": [{"title": "A", "start_time": 0, "end_time": 4}],
            "http_headers": {"Cookie": "hidden"},
        }
    )  # fmt: skip
    assert (found["title"], found["uploader"], found["durationSeconds"]) == ("Song", "Somebody", 12.5)
    assert found["formats"] == [{"id": "1", "extension": "m4a", "audioCodec": "aac"}]
    assert found["subtitles"] == ["en"]
    assert found["chapters"] == [{"title": "A", "startSeconds": 0, "endSeconds": 4}]
    assert "hidden" not in json.dumps(found)


def test_an_endless_list_is_read_up_to_a_number() -> None:
    asked: list[int] = []

    def endless() -> Any:
        for number in itertools.count():
            asked.append(number)
            yield {"title": str(number), "url": f"https://example.com/{number}"}

    found = describe_list({"title": "All", "entries": endless()}, 100)
    assert (len(found["entries"]), found["truncated"], len(asked)) == (100, True, 101)


@pytest.mark.parametrize(
    ("count", "told", "truncated"), [(3, None, False), (3, 3, False), (3, 500, True), (4, None, True), (0, None, False)]
)
def test_whether_a_list_goes_on(count: int, told: int | None, truncated: bool) -> None:
    info = {"entries": [{"title": "x"}] * count, "playlist_count": told}
    assert describe_list(info, 3)["truncated"] is truncated


def test_a_million_chapters_are_cut() -> None:
    info = {"chapters": ({"title": str(number), "start_time": number} for number in range(10**6))}
    assert len(chapters(info)) == MAX_CHAPTERS


@pytest.mark.parametrize(
    ("text", "lines", "want"),
    [
        pytest.param("a\u202eb\x00c", False, "abc", id="what is not seen goes"),
        pytest.param(" a \n b ", False, "a b", id="one line"),
        pytest.param(" a \n b ", True, "a\nb", id="more lines"),
        pytest.param("x" * 50, False, "x" * 10, id="cut"),
        pytest.param("a\t\tb\u2028c", False, "a b c", id="white space becomes single spaces"),
        pytest.param("a\x1b[31mb", False, "a[31mb", id="commands of a terminal lose their start"),
        pytest.param("e\u0301", False, "\u00e9", id="accents are composed"),
        pytest.param("bad\ud800half", False, "badhalf", id="half a surrogate pair goes"),
        pytest.param("../../etc", False, "../../etc", id="a path is only text"),
        pytest.param("\u200b", False, None, id="nothing that is seen"),
        pytest.param(5, False, None, id="no text"),
    ],
)
def test_texts_are_plain(text: object, lines: bool, want: str | None) -> None:
    assert plain_text(text, 10, lines=lines) == want


def test_what_the_files_own_tags_say() -> None:
    info = {
        "title": "Somebody - Song",
        "track": "Song",
        "artists": [],
        "artist": "Somebody",
        "release_date": "20260102",
    }
    assert tags(info) == {"title": "Song", "artist": "Somebody", "date": "2026-01-02"}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("20260102", "2026-01-02", id="as sites say it"),
        pytest.param("2026-01-02T07:00:00Z", "2026-01-02", id="a time of day goes"),
        pytest.param("2026-01-02", "2026-01-02", id="a day stays"),
        pytest.param("2026", "2026", id="a year stays"),
        pytest.param("Spring 1969", "Spring 1969", id="words stay"),
        pytest.param("202601021", "202601021", id="a longer number is no day"),
        pytest.param(" \u200b", None, id="nothing that is seen"),
        pytest.param(None, None, id="none"),
    ],
)
def test_days_are_written_in_one_way(text: object, want: str | None) -> None:
    assert plain_date(text) == want


@pytest.mark.parametrize(
    ("info", "want"),
    [
        pytest.param(
            {"title": "Blue", "artist": "A Band", "album": "Sky", "upload_date": "20260102"},
            {"title": "Blue", "artist": "A Band", "album": "Sky", "date": "2026-01-02"},
            id="all of it",
        ),
        pytest.param({"creator": "A", "channel": "B"}, {"artist": "A", "uploader": "B"}, id="by their other names"),
        pytest.param(
            {"release_date": "20250304", "upload_date": "20260102"}, {"date": "2025-03-04"}, id="the release goes first"
        ),
        pytest.param({"artist": ["A", "B"]}, {"artist": "A, B"}, id="several artists"),
        pytest.param({"album": "x" * 900}, {"album": "x" * 200}, id="cut"),
        pytest.param({"title": 5, "artist": "\u200b", "album": None}, {}, id="nothing"),
    ],
)
def test_what_a_site_says_names_a_piece(info: dict[str, Any], want: dict[str, str]) -> None:
    assert item_labels(info) == want


def test_a_files_own_tags_name_it_and_the_others_are_left() -> None:
    own = {"title": "Blue\u202e", "artist": "A Band", "date": "2026-01-02T07:00:00Z", "comment": "x", "genre": "y"}
    assert labels(own) == {"title": "Blue", "artist": "A Band", "date": "2026-01-02"}


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_a_site_says_becomes_json(info: dict[str, Any]) -> None:
    json.dumps(describe_item(info), allow_nan=False)
    if not isinstance(info.get("entries"), int | float | str | bool):
        json.dumps(describe_list(info, 3), allow_nan=False)
    assert all(isinstance(value, str) for value in tags(info).values())
