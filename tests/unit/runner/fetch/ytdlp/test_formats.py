from __future__ import annotations

from typing import Any, get_args

import pytest

from audiojob_runner.fetch.ytdlp.formats import (
    HEIGHTS,
    choice,
    chosen,
    estimated_bytes,
    has_video,
    is_unread,
    played_seconds,
    weights,
)
from audiojob_types.tasks.download import Container, Format


def test_every_intent_has_a_choice_and_every_height_its_limit() -> None:
    for wanted in get_args(Format):
        for container in get_args(Container):
            assert choice(wanted, container).selector
    assert set(HEIGHTS) == {wanted for wanted in get_args(Format) if wanted.startswith("Video")}


@pytest.mark.parametrize(
    ("wanted", "container", "selector", "sort"),
    [
        pytest.param("BestAudio", "original", "bestaudio/best", (), id="sound as the site has it"),
        pytest.param("BestAudio", "m4a", "bestaudio/best", ("acodec:aac",), id="sound that need not be encoded again"),
        pytest.param("Video720p", "original", "bestvideo*", ("res:720",), id="a picture up to a height"),
        pytest.param("BestVideo", "mp4", "bestvideo*", ("res", "vcodec:h264", "acodec:aac"), id="height comes first"),
    ],
)  # fmt: skip
def test_what_yt_dlp_is_asked_for(wanted: Format, container: Container, selector: str, sort: tuple[str, ...]) -> None:
    found = choice(wanted, container)
    assert found.selector.startswith(selector)
    assert found.sort == sort


def test_each_part_has_what_the_whole_says_and_its_own_address() -> None:
    info = {"id": "x", "url": "whole", "requested_formats": [{"url": "a"}, {"url": "b"}], "formats": [{"url": "c"}]}
    assert chosen(info) == [{"id": "x", "url": "a"}, {"id": "x", "url": "b"}]
    assert chosen({"id": "x", "url": "whole"}) == [{"id": "x", "url": "whole"}]


@pytest.mark.parametrize(
    ("protocol", "want"),
    [
        ("f4m", True), ("rtmp", True), ("rtmpe", True), ("rtmp_ffmpeg", True), ("mms", True), ("rtsp", True),
        ("https", False), ("m3u8_native", False), ("http_dash_segments", False), ("ism", False), (None, False),
    ],
)  # fmt: skip
def test_protocols_of_flash_are_not_read(protocol: str | None, want: bool) -> None:
    assert is_unread({"protocol": protocol}) is want


@pytest.mark.parametrize(
    ("each", "want"),
    [
        pytest.param({"filesize": 10, "filesize_approx": 20}, 10, id="the size that is told"),
        pytest.param({"filesize_approx": 20}, 20, id="an estimate of the site"),
        pytest.param({"duration": 8, "tbr": 100}, 100_000, id="from rate and length"),
        pytest.param({"filesize": 0, "duration": 8}, None, id="nothing is told"),
        pytest.param({"filesize": "12"}, None, id="not a number"),
        pytest.param({"filesize": float("nan")}, None, id="no number at all"),
    ],
)
def test_how_large_a_format_is(each: dict[str, Any], want: float | None) -> None:
    assert estimated_bytes(each) == want


@pytest.mark.parametrize(
    ("formats", "want"),
    [
        pytest.param([{"filesize": 90}, {"filesize": 10}], [90, 10], id="by size"),
        pytest.param([{"filesize": 90}, {"vcodec": "none"}], [8, 1], id="a guess where one size is not told"),
        pytest.param([{}], [8], id="a single one"),
    ],
)
def test_how_much_each_part_counts(formats: list[dict[str, Any]], want: list[float]) -> None:
    assert weights(formats) == want


@pytest.mark.parametrize(
    ("info", "want"),
    [
        pytest.param({"duration": 7}, 7, id="what the source says"),
        pytest.param({"fragments": [{"duration": 4}, {"duration": 5.5}, {}, None]}, 9.5, id="the sum of its pieces"),
        pytest.param({"duration": 1, "fragments": [{"duration": 90}]}, 90, id="the longer of both"),
        pytest.param({"duration": True}, None, id="nothing useful"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_how_long_a_source_plays(info: dict[str, Any], want: float | None) -> None:
    assert played_seconds(info) == want


@pytest.mark.parametrize(
    ("each", "want"),
    [
        pytest.param({"vcodec": "avc1"}, True, id="a codec of pictures"),
        pytest.param({"vcodec": "none"}, False, id="none"),
        pytest.param({"ext": "mp4"}, True, id="untold, in a container of films"),
        pytest.param({"ext": "mp3"}, False, id="untold, in a container of sound"),
    ],
)
def test_what_has_a_picture(each: dict[str, Any], want: bool) -> None:
    assert has_video(each) is want
