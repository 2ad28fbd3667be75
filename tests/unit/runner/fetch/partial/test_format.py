from __future__ import annotations

from typing import Any

import pytest

from audiojob_runner.fetch.partial.format import (
    BLOCK_BYTES,
    MAX_RESERVE_BYTES,
    SUM_BYTES,
    About,
    address_digest,
    block_sum,
    count_blocks,
    describe,
    fits_sum,
    has_room,
    may_continue,
    parse_about,
)
from audiojob_runner.fetch.partial.resumption import Version

URL = "https://example.org/song.mp3?token=geheim"
ADDRESS = address_digest("uid", URL)
RESERVE = MAX_RESERVE_BYTES // BLOCK_BYTES
DATE = "Sun, 01 Mar 2026 10:00:00 GMT"


def about(**changes: Any) -> About:
    usual = {"address": ADDRESS, "validator": '"v1"', "length": 10**8, "content_type": "audio/mpeg"}
    return About.model_validate(usual | changes)


def test_what_is_noted_is_read_again_and_holds_no_address() -> None:
    noted = describe(ADDRESS, Version('"v1"', None), "audio/mpeg", "mp3")
    assert noted is not None
    text = noted.model_dump_json(by_alias=True)
    assert parse_about(text.encode()) == noted
    assert noted.version == Version('"v1"', None)
    assert "example" not in text
    assert "geheim" not in text


@pytest.mark.parametrize(
    ("version", "content_type", "extension"),
    [
        pytest.param(None, "audio/mpeg", "mp3", id="nothing names the content"),
        pytest.param(Version('"v1"', 5), "audio/\u00fc", "mp3", id="a type that is none"),
        pytest.param(Version('"v1"', 5), "audio/mpeg", "exe", id="an extension that is not ours"),
        pytest.param(Version('"v1"', 2**60), "audio/mpeg", "mp3", id="an absurd length"),
    ],
)
def test_what_is_not_kept(version: Version | None, content_type: str, extension: str) -> None:
    assert describe(ADDRESS, version, content_type, extension) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(b"[]", id="a list"),
        pytest.param(about().model_dump_json(by_alias=True).encode()[:-9], id="half of it"),
        pytest.param(about(validator=DATE, length=None).model_dump_json(by_alias=True).encode(), id="a date alone"),
        pytest.param(
            about().model_dump_json(by_alias=True).replace('\\"v1\\"', "a\\r\\nb").encode(), id="two lines for a header"
        ),
        pytest.param(
            about().model_dump_json(by_alias=True).replace("null", '"../x"').encode(), id="a path for an extension"
        ),
    ],
)
def test_garbage_is_no_note(content: bytes) -> None:
    assert parse_about(content) is None


def test_a_note_of_a_newer_runner_is_read() -> None:
    assert parse_about(b'{"newer": 1, ' + about().model_dump_json(by_alias=True).encode()[1:]) == about()


@pytest.mark.parametrize(
    ("found", "may"),
    [
        pytest.param(about(), True, id="the same address"),
        pytest.param(about(length=None), True, id="a length that is not told"),
        pytest.param(about(address=address_digest("uid", URL + "x")), False, id="another address"),
        pytest.param(about(address=address_digest("other", URL)), False, id="the same address for another job"),
        pytest.param(about(length=2 * 10**8), False, id="longer than the limit"),
    ],
)
def test_what_may_be_continued(found: About, may: bool) -> None:
    assert may_continue(found, ADDRESS, 10**8) is may


@pytest.mark.parametrize(
    ("length", "data", "sums", "limit", "blocks"),
    [
        pytest.param(10.0, 4.0, 4, 100, 4, id="half a file"),
        pytest.param(10.0, 4.7, 4, 100, 4, id="a torn block"),
        pytest.param(10.0, 4.0, 3, 100, 3, id="a sum is missing"),
        pytest.param(10.0, 3.0, 9, 100, 3, id="data is missing"),
        pytest.param(4.0, 4.0, 4, 100, 3, id="all of it but the byte that is asked for"),
        pytest.param(3.5, 9.0, 9, 100, 3, id="more than the file has"),
        pytest.param(None, 9.0, 9, 5, 5, id="more than the limit"),
        pytest.param(0.0, 4.0, 4, 100, 0, id="an empty file"),
    ],
)
def test_how_many_blocks_may_count(length: float | None, data: float, sums: int, limit: int, blocks: int) -> None:
    """Sizes in blocks."""
    told = None if length is None else int(length * BLOCK_BYTES)
    found = count_blocks(about(length=told), int(data * BLOCK_BYTES), sums * SUM_BYTES, limit * BLOCK_BYTES)
    assert found == blocks


def test_a_block_counts_where_its_own_sum_is() -> None:
    first, second = bytes(BLOCK_BYTES), b"x" * BLOCK_BYTES
    sums = block_sum(first) + block_sum(second)
    assert fits_sum(second, 1, sums)
    assert not fits_sum(second, 0, sums)
    assert not fits_sum(second, 2, sums)
    assert not fits_sum(b"", 2, sums + block_sum(b""))


@pytest.mark.parametrize(
    ("volume", "free", "received", "length", "room"),
    [
        pytest.param(0, 11, 0, 10, True, id="for the file and a block"),
        pytest.param(0, 10, 0, 10, False, id="for the file alone"),
        pytest.param(0, 9, 8, None, True, id="for as much as has come, where no length is told"),
        pytest.param(0, 8, 8, None, False, id="for less than that"),
        pytest.param(100, 21, 0, 10, True, id="and a tenth of the volume stays free"),
        pytest.param(100, 20, 0, 10, False, id="but not for a tenth of the volume besides"),
        pytest.param(10**9, RESERVE + 11, 0, 10, True, id="and of a huge volume some GiB stay free"),
        pytest.param(10**9, RESERVE + 10, 0, 10, False, id="but less than these"),
    ],
)
def test_the_file_itself_and_others_come_first(
    volume: int, free: int, received: int, length: int | None, room: bool
) -> None:
    """Sizes in blocks."""
    told = None if length is None else length * BLOCK_BYTES
    assert has_room(volume * BLOCK_BYTES, free * BLOCK_BYTES, received * BLOCK_BYTES, told) is room
