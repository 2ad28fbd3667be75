from __future__ import annotations

from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.ffmetadata import MAX_TAG_CHARACTERS, Chapter
from audiojob_runner.media.streams import PictureStream, SoundStream, clock_seconds, read_streams
from audiojob_types.reasons import Reason


def document(*streams: dict[str, Any], name: str = "matroska,webm", **fields: Any) -> dict[str, Any]:
    return {"format": {"format_name": name, **fields}, "streams": list(streams)}


def test_a_film_with_everything() -> None:
    found = read_streams(
        document(
            {
                "index": 0, "codec_type": "video", "codec_name": "h264", "width": 1920, "height": 1080,
                "avg_frame_rate": "30000/1001", "duration": "9.5", "side_data_list": [{"rotation": -90}],
            },
            {"index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": "48000"},
            {"index": 2, "codec_type": "subtitle", "codec_name": "subrip"},
            {"index": 3, "codec_type": "video", "codec_name": "png", "disposition": {"attached_pic": 1}},
            duration="10", tags={"TITLE": "x", "encoder": "y"},
        )
        | {"chapters": [{"start_time": "0.0", "end_time": "2.5", "tags": {"title": "One"}}, {"start_time": "nan"}]}
    )  # fmt: skip
    assert found.films == (PictureStream(0, "h264", 1920, 1080, 30000 / 1001, 9.5, quarter_turns=3),)
    assert found.sounds == (SoundStream(1, "aac", 48_000, 2, None),)
    assert found.covers == (PictureStream(3, "png", 0, 0, None, None, cover=True),)
    assert (found.demuxer, found.duration_seconds, found.others) == ("matroska", 10.0, 1)
    assert dict(found.tags) == {"title": "x"}
    assert found.chapters == (Chapter(0.0, 2.5, "One"), Chapter(0.0, 0.0, ""))


def test_the_sound_is_the_default_track_else_the_first() -> None:
    tracks = [{"index": number, "codec_type": "audio"} for number in range(3)]
    found = read_streams(document(*tracks))
    assert found.sound is not None
    assert found.sound.index == 0
    tracks[2]["disposition"] = {"default": 1}
    found = read_streams(document(*tracks))
    assert found.sound is not None
    assert found.sound.index == 2
    assert read_streams(document()).sound is None


def test_ogg_keeps_its_tags_with_the_first_stream() -> None:
    found = read_streams(document({"codec_type": "audio", "tags": {"title": "x", "lyrics": "y"}}, name="ogg"))
    assert dict(found.tags) == {"title": "x"}


def test_what_strangers_write_is_cut() -> None:
    found = read_streams(document({"codec_type": "audio", "codec_name": "<b>\n"}, tags={"title": "x" * 10**6}))
    assert (found.sounds[0].codec, len(found.tags["title"])) == ("unknown", MAX_TAG_CHARACTERS)


@pytest.mark.parametrize("name", ["hls", "concat", "avi", "sdp", "image2", "svg_pipe", "", "lavfi"])
def test_other_containers_are_refused(name: str) -> None:
    with pytest.raises(PhaseError) as caught:
        read_streams(document(name=name))
    assert caught.value.reason is Reason.NOT_MEDIA


@pytest.mark.parametrize(
    ("rate", "want"),
    [("25/1", 25.0), ("0/0", None), ("1/0", None), ("-5/1", None), ("nan/1", None), ("x", None), (None, None)],
)
def test_pictures_a_second(rate: str | None, want: float | None) -> None:
    stream = {"codec_type": "video", "avg_frame_rate": rate}
    assert read_streams(document(stream)).films[0].fps == want


@pytest.mark.parametrize(
    ("fields", "want"),
    [({}, 0), ({"tags": {"rotate": "90"}}, 1), ({"tags": {"rotate": "x"}}, 0), ({"side_data_list": [{}]}, 0)],
)
def test_turns(fields: dict[str, Any], want: int) -> None:
    assert read_streams(document({"codec_type": "video", **fields})).films[0].quarter_turns == want


@pytest.mark.parametrize("value", [10**12, -3, "nan", "inf", None, "x", {}])
def test_sizes_that_are_none_are_0(value: object) -> None:
    film = read_streams(document({"codec_type": "video", "width": value, "height": value})).films[0]
    assert (film.width, film.height) == (0, 0)


@pytest.mark.parametrize(
    ("text", "want"), [("00:01:02.500000000", 62.5), ("1:2", None), ("a:b:c", None), (None, None), ("1:-2:3", None)]
)
def test_clock_seconds(text: str | None, want: float | None) -> None:
    assert clock_seconds(text) == want
