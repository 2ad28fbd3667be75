from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.fetch.ytdlp.hls import MediaPlaylist, parse_playlist
from audiojob_runner.fetch.ytdlp.record import new_segments

BASE = "https://example.com/a/list.m3u8"


def parsed(*lines: str) -> MediaPlaylist:
    found = parse_playlist("\n".join(["#EXTM3U", *lines]), BASE)
    assert found is not None
    return found


def test_segments_have_numbers_addresses_and_lengths() -> None:
    found = parsed("#EXT-X-TARGETDURATION:6", "#EXT-X-MEDIA-SEQUENCE:7", "#EXTINF:5.5,Title", "1.ts", "#EXTINF:4,",
                   "//other.example/2.ts", "#EXT-X-ENDLIST")  # fmt: skip
    assert [(each.number, each.url, each.seconds) for each in found.segments] == [
        (7, "https://example.com/a/1.ts", 5.5),
        (8, "https://other.example/2.ts", 4),
    ]
    assert (found.seconds, found.target_seconds, found.ended, found.encrypted) == (9.5, 6, True, False)


@pytest.mark.parametrize(
    ("lines", "ended"),
    [
        pytest.param(["#EXT-X-ENDLIST"], True, id="it says that it has ended"),
        pytest.param(["#EXT-X-PLAYLIST-TYPE:VOD"], True, id="it says that it is whole"),
        pytest.param(["#EXT-X-PLAYLIST-TYPE:EVENT"], False, id="it grows"),
        pytest.param([], False, id="it says nothing"),
    ],
)
def test_what_is_live(lines: list[str], ended: bool) -> None:
    assert parsed(*lines).ended is ended


@pytest.mark.parametrize(
    ("line", "encrypted"),
    [
        ("#EXT-X-KEY:METHOD=NONE", False),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k,x"', True),
        ("#EXT-X-KEY:METHOD=SAMPLE-AES", True),
    ],
)
def test_what_is_encrypted(line: str, encrypted: bool) -> None:
    assert parsed(line).encrypted is encrypted


def test_what_every_segment_needs_before_it() -> None:
    assert parsed('#EXT-X-MAP:URI="init.mp4",BYTERANGE="1@0"').header_url == "https://example.com/a/init.mp4"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>", id="a page"),
        pytest.param("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8", id="a list of lists"),
        pytest.param("#EXTM3U\n#EXTINF:1,\nhttp://[\n", id="an address with half a bracket"),
        pytest.param('#EXTM3U\n#EXT-X-MAP:URI="//[a]b"\na.ts', id="a beginning whose address is none"),
    ],
)
def test_what_is_no_media_playlist(text: str) -> None:
    assert parse_playlist(text, BASE) is None


@pytest.mark.parametrize("seconds", ["nan", "inf", "-5", "1e9", "", "x"])
def test_lengths_that_are_none_count_nothing(seconds: str) -> None:
    assert parsed(f"#EXTINF:{seconds},", "1.ts").seconds == 0


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    parse_playlist("#EXTM3U\n" + text, BASE)


def test_a_recording_begins_near_the_end_and_takes_each_segment_once() -> None:
    found = parsed(
        "#EXT-X-MEDIA-SEQUENCE:10", *(line for number in range(9) for line in ("#EXTINF:2,", f"{number}.ts"))
    )
    assert [each.number for each in new_segments(found, None)] == [16, 17, 18]
    assert [each.number for each in new_segments(found, 16)] == [17, 18]
    assert new_segments(found, 18) == ()
