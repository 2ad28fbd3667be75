from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.ffmpeg import Failure
from audiojob_runner.media.probe import MediaInfo, check_decoded, check_length, explain, read_probe, sniff
from audiojob_types.reasons import Reason


def stream(kind: str = "audio", **fields: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"index": 0, "codec_type": kind}
    if kind == "audio":
        base |= {"codec_name": "flac", "channels": 2, "sample_rate": "44100"}
    return base | fields


def answer(*streams: dict[str, Any], name: str = "flac", **container: Any) -> dict[str, Any]:
    return {"format": {"format_name": name, **container}, "streams": list(streams)}


def test_a_song() -> None:
    info = read_probe(answer(stream(duration="3.5"), name="flac", duration="3.5"))
    assert info == MediaInfo("flac", "flac", 0, 44_100, 2, 3.5, True, False)


def test_a_film_is_its_default_sound_track() -> None:
    document = answer(
        stream("video", index=0),
        stream(index=1, codec_name="ac3", disposition={"default": 0}),
        stream(index=2, codec_name="aac", disposition={"default": 1}, tags={"DURATION": "00:01:02.500000000"}),
        name="matroska,webm",
        duration="100",
    )
    info = read_probe(document)
    assert (info.demuxer, info.stream_index, info.codec) == ("matroska", 2, "aac")
    assert (info.duration_seconds, info.exact, info.has_video) == (62.5, True, True)


@pytest.mark.parametrize(
    ("document", "want"),
    [
        pytest.param(
            answer(stream("video"), stream(index=1), name="matroska", duration="9"),
            (9.0, False),
            id="a film whose sound tells no length",
        ),
        pytest.param(answer(stream(duration="9"), name="mp3"), (9.0, False), id="an mp3, whose length is a guess"),
        pytest.param(answer(stream(), name="wav", duration="9"), (9.0, True), id="a lone sound track"),
        pytest.param(answer(stream(duration="N/A"), name="wav"), (None, False), id="no length at all"),
        pytest.param(answer(stream(duration="nan"), name="wav"), (None, False), id="a length that is no number"),
        pytest.param(answer(stream(duration="-5"), name="wav"), (None, False), id="a negative length"),
        pytest.param(answer(stream(tags={"DURATION": "1:2"}), name="matroska"), (None, False), id="a broken tag"),
    ],
)  # fmt: skip
def test_length_and_whether_it_can_be_trusted(document: dict[str, Any], want: tuple[float | None, bool]) -> None:
    info = read_probe(document)
    assert (info.duration_seconds, info.exact) == want


def test_cover_art_is_not_a_film() -> None:
    cover = stream("video", index=1, disposition={"attached_pic": 1})
    assert not read_probe(answer(stream(), cover, name="mp3")).has_video


@pytest.mark.parametrize(
    ("document", "reason", "part"),
    [
        pytest.param({}, Reason.NOT_MEDIA, "container", id="an empty answer"),
        pytest.param(answer(stream(), name="hls"), Reason.NOT_MEDIA, "container", id="a container that is not listed"),
        pytest.param(answer(name="mov"), Reason.EMPTY_MEDIA, "no sound track", id="no tracks"),
        pytest.param(answer(stream("video"), name="mov"), Reason.EMPTY_MEDIA, "video without", id="a silent film"),
        pytest.param(answer(stream("subtitle"), name="mov"), Reason.EMPTY_MEDIA, "no sound", id="subtitles alone"),
        pytest.param(answer(stream(codec_name="wmav2")), Reason.NOT_MEDIA, "wmav2", id="a coding that is not listed"),
        pytest.param(answer(stream(codec_name="<b>\n")), Reason.NOT_MEDIA, "unknown", id="a name that is not shown"),
        pytest.param(answer(stream(codec_tag_string="enca")), Reason.NOT_MEDIA, "DRM", id="encrypted sound"),
        pytest.param(answer(stream(channels=0)), Reason.CORRUPT_MEDIA, "header", id="no channels"),
        pytest.param(answer(stream(sample_rate="0")), Reason.CORRUPT_MEDIA, "header", id="no sample rate"),
        pytest.param(answer(stream(channels=64)), Reason.NOT_MEDIA, "at most 8", id="64 channels"),
        pytest.param(answer(stream(sample_rate="1000000")), Reason.NOT_MEDIA, "768000", id="1 MHz"),
    ],
)
def test_what_is_not_taken(document: dict[str, Any], reason: Reason, part: str) -> None:
    with pytest.raises(PhaseError) as caught:
        read_probe(document)
    assert (caught.value.exit_code, caught.value.reason) == (65, reason)
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("head", "want"),
    [
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "wav"),
        (b"RF64\xff\xff\xff\xffWAVE", "wav"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", None),
        (b"\x00\x00\x00\x20ftypisom", "mov"),
        (b"fLaC\x00", "flac"),
        (b"OggS\x00", "ogg"),
        (b"\x1aE\xdf\xa3\x01", "matroska"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"FORM\x00\x00\x00\x00AIFF", "aiff"),
        (b"\xff\xfe<\x00h\x00", "mp3"),  # a UTF-16 mark looks like a sync word too; ffmpeg has the last word
        (b"#EXTM3U\n", None),
        (b"ffconcat version 1.0", None),
        (b"<svg xmlns=", None),
        (b"v=0\r\no=- ", None),
        (b"MZ\x90\x00", None),
        (b"%PDF-1.7", None),
        (b"PK\x03\x04", None),
        (b"", None),
    ],
)
def test_sniff(head: bytes, want: str | None) -> None:
    assert sniff(head) == want


@pytest.mark.parametrize("failure", list(Failure))
def test_each_failure_of_ffmpeg_has_a_sentence(failure: Failure) -> None:
    error = explain(failure, b"fLaC", 100)
    assert error.message.endswith(".")
    assert error.suggestion


@pytest.mark.parametrize(
    ("head", "size", "reason"),
    [
        pytest.param(b"", 0, Reason.NOT_MEDIA, id="an empty file is no media"),
        pytest.param(b"hello", 5, Reason.NOT_MEDIA, id="a text is no media"),
        pytest.param(b"fLaC", 4, Reason.CORRUPT_MEDIA, id="what starts as media and cannot be read is damaged"),
    ],
)
def test_a_refused_file_is_no_media_or_damaged(head: bytes, size: int, reason: Reason) -> None:
    assert explain(Failure.REFUSED, head, size).reason is reason


def test_too_long_is_refused_before_any_work() -> None:
    info = MediaInfo("flac", "flac", 0, 44_100, 2, 60.5, True, False)
    check_length(info, 61)
    with pytest.raises(PhaseError, match="at most 60 s"):
        check_length(info, 60)
    check_length(replace(info, exact=False), 60)  # an estimate refuses nothing


@pytest.mark.parametrize(
    ("promised", "exact", "decoded", "reason"),
    [
        pytest.param(60.0, True, 60.0, None, id="all of it"),
        pytest.param(60.0, True, 58.6, None, id="rounding and padding are missing"),
        pytest.param(60.0, True, 58.0, Reason.CORRUPT_MEDIA, id="two seconds are missing"),
        pytest.param(60.0, True, 61.0, None, id="more than promised"),
        pytest.param(60.0, False, 30.0, None, id="half is missing from a guess"),
        pytest.param(None, False, 30.0, None, id="nothing was promised"),
        pytest.param(0.0, True, 0.0, Reason.EMPTY_MEDIA, id="nothing at all"),
        pytest.param(60.0, True, 0.0, Reason.CORRUPT_MEDIA, id="nothing of what was promised"),
    ],
)
def test_what_was_decoded_is_held_against_the_header(
    promised: float | None, exact: bool, decoded: float, reason: Reason | None
) -> None:
    info = MediaInfo("flac", "flac", 0, 44_100, 2, promised, exact, False)
    if reason is None:
        check_decoded(info, decoded)
        return
    with pytest.raises(PhaseError) as caught:
        check_decoded(info, decoded)
    assert caught.value.reason is reason
