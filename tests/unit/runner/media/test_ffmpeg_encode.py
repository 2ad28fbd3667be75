from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.media import ffmpeg, ffmpeg_encode, ffmpeg_still
from audiojob_runner.media.containers import AUDIO_ENCODERS, CONTAINERS, TAG_NAMES, CoverForm
from audiojob_runner.media.ffmetadata import Chapter, ffmetadata
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.ffmpeg_encode import COPY, EncodeRequest, EncodeStream, SideFiles, StreamKind
from audiojob_runner.media.ffmpeg_still import StillRequest

SONG = Path("/work/-i concat:a|b.mp3")
FILM = Path("/work/film.mp4")
AUDIO = EncodeStream(SONG, "mp3", 0, StreamKind.AUDIO, "mp3", "aac")
VIDEO = EncodeStream(FILM, "mov", 1, StreamKind.VIDEO, "h264", "h264")
COVER = EncodeStream(Path("/work/art"), "png_pipe", 0, StreamKind.COVER, "png")
SIDE = SideFiles(Path("/work/out.metadata"), None)
SIDE_COVER = SideFiles(Path("/work/out.metadata"), Path("/work/out.cover"))
STILL = StillRequest(FILM, Path("/work/still.jpg"), "mov", 1, "h264", seconds=3.0)


def request(*streams: EncodeStream, container: str = "mp4", **fields: Any) -> EncodeRequest:
    return EncodeRequest(streams, Path("/work/out"), container, max_seconds=60, max_bytes=1_000_000, **fields)


def inputs(command: list[str]) -> list[tuple[list[str], str]]:
    """Each input's own options, and the input."""
    found = []
    start = 0
    for position, word in enumerate(command):
        if word == "-i":
            found.append((command[start:position], command[position + 1]))
            start = position + 2
    return found


def value(options: list[str], name: str) -> str:
    return options[options.index(name) + 1]


EVERYTHING = ffmpeg_encode.encode_command(request(VIDEO, AUDIO, COVER), SIDE_COVER)


@pytest.mark.parametrize("command", [EVERYTHING, ffmpeg_still.still_command(STILL)], ids=["encode", "still"])
def test_every_input_is_guarded_and_read_by_the_demuxer_that_was_probed(command: list[str]) -> None:
    for options, source in inputs(command):
        assert value(options, "-protocol_whitelist") == "file"
        assert value(options, "-format_whitelist") == value(options, "-f"), "one format and no other"
        assert value(options, "-f") in (*ffmpeg.DEMUXERS, *ffmpeg_still.PICTURE_DEMUXERS, "ffmetadata")
        assert {"-codec_whitelist", "-max_streams", "-max_alloc"} <= set(options)
        assert source.startswith("file:/")


def test_the_inputs_are_the_sources_then_the_cover_then_the_tags() -> None:
    assert [source for _, source in inputs(EVERYTHING)] == [
        "file:/work/film.mp4",
        "file:/work/-i concat:a|b.mp3",
        "file:/work/out.cover",
        "file:/work/out.metadata",
    ]


@pytest.mark.parametrize(
    ("stream", "want"),
    [
        pytest.param(AUDIO, set(), id="a sound decodes no pictures"),
        pytest.param(VIDEO, {"h264"}, id="an encoded film is decoded by the decoder of its coding"),
        pytest.param(replace(VIDEO, source_codec="av1"), {"libdav1d", "av1"}, id="AV1 has two decoders"),
        pytest.param(replace(VIDEO, codec=COPY), set(), id="a copied film is not decoded"),
        pytest.param(replace(VIDEO, codec=COPY, demuxer="mpegts"), {"h264"}, id="but from MPEG-TS for its size"),
    ],
)
def test_pictures_are_decoded_only_where_they_must_be(stream: EncodeStream, want: set[str]) -> None:
    (options, _), _ = inputs(ffmpeg_encode.encode_command(request(stream), SIDE))
    assert set(value(options, "-codec_whitelist").split(",")) - set(ffmpeg.AUDIO_DECODERS) == want
    assert ("-max_pixels" in options) == bool(want), "whatever decodes pictures is bounded"


def test_one_file_with_two_streams_is_opened_once() -> None:
    sound = replace(AUDIO, path=FILM, demuxer="mov", index=2)
    command = ffmpeg_encode.encode_command(request(VIDEO, sound), SIDE)
    assert len(inputs(command)) == 2
    assert [command[at + 1] for at, word in enumerate(command) if word == "-map"] == ["0:1", "0:2"]


def test_results_have_limits_of_length_and_size_and_are_repeatable() -> None:
    output = EVERYTHING[EVERYTHING.index("-map") :]
    assert (value(output, "-t"), value(output, "-fs")) == ("60", "1000000")
    assert (value(output, "-movflags"), value(output, "-flags")) == ("+faststart", "+bitexact")


def test_tags_of_the_sources_are_left_behind() -> None:
    for number in range(3):
        assert value(EVERYTHING, f"-map_metadata:s:{number}") == "-1"
    assert value(EVERYTHING, "-map_metadata") == "3", "the tags come from our own file"


@pytest.mark.parametrize(
    ("container", "how"),
    [("mp4", "attached_pic"), ("mp3", "attached_pic"), ("mkv", "-attach"), ("opus", None)],
)
def test_a_cover_takes_the_containers_form(container: str, how: str | None) -> None:
    codec = {"mp4": "aac", "mp3": "mp3", "mkv": "aac", "opus": "opus"}[container]
    wanted = request(replace(AUDIO, codec=codec), COVER, container=container)
    command = ffmpeg_encode.encode_command(wanted, SIDE_COVER)
    assert [word for word in command if word in ("attached_pic", "-attach")] == ([] if how is None else [how])


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(request(AUDIO, container="exe"), id="a container that is not listed"),
        pytest.param(request(replace(AUDIO, demuxer="concat")), id="a demuxer that is not listed"),
        pytest.param(request(replace(AUDIO, demuxer="png_pipe")), id="a picture as sound"),
        pytest.param(request(replace(AUDIO, codec="libx264")), id="an encoder by its own name"),
        pytest.param(request(replace(AUDIO, codec="mp3"), container="opus"), id="a coding that the container lacks"),
        pytest.param(request(replace(AUDIO, codec=COPY), container="flac"), id="a copy that the container lacks"),
        pytest.param(request(replace(VIDEO, source_codec="magicyuv")), id="a film that no listed decoder reads"),
        pytest.param(request(replace(AUDIO, codec="pcm_s16le"), COVER, container="wav"), id="a cover in WAV"),
        pytest.param(request(COVER), id="nothing but a cover"),
        pytest.param(request(), id="nothing"),
        pytest.param(
            request(*(replace(AUDIO, path=Path(f"/work/{number}")) for number in range(5))), id="five sources"
        ),
    ],
)
def test_what_is_on_no_list_starts_nothing(wrong: EncodeRequest) -> None:
    with pytest.raises(FfmpegError) as caught:
        ffmpeg_encode.encode_command(wrong, SIDE)
    assert caught.value.failure is Failure.REFUSED


@pytest.mark.parametrize(
    "wrong",
    [replace(STILL, demuxer="image2"), replace(STILL, codec="svg"), replace(STILL, form="gif")],
    ids=["a pattern of names", "a drawing", "a form that is not listed"],
)
def test_a_still_from_what_is_on_no_list_starts_nothing(wrong: StillRequest) -> None:
    with pytest.raises(FfmpegError):
        ffmpeg_still.still_command(wrong)


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param({}, "anull", id="nothing to do"),
        pytest.param({"source_channels": 9, "channels": 2}, "anull", id="speakers that no mix names"),
        pytest.param({"source_channels": 6, "channels": 6}, "anull", id="as many as there are"),
        pytest.param(
            {"source_codec": "pcm_f32le", "gain_decibels": -3.5},
            f"{ffmpeg_encode._FINITE},volume=-3.500dB:precision=double",
            id="the gain before full scale cuts off",
        ),
        pytest.param({"gain_decibels": -3.5}, "volume=-3.500dB:precision=double", id="another level"),
        pytest.param({"source_codec": "pcm_f64le"}, ffmpeg_encode._FINITE, id="floats that may be no numbers"),
    ],
)
def test_sound_filters(fields: dict[str, Any], want: str) -> None:
    assert ffmpeg_encode.audio_filters(replace(AUDIO, **fields)) == want


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=str)
def test_each_container_can_be_encoded_to(container: Any) -> None:
    assert container.audio[0] in AUDIO_ENCODERS
    assert container.name not in ("wav", "webm") or container.cover is CoverForm.NONE


def test_tags_and_chapters_cannot_become_others() -> None:
    text = ffmetadata({"title": "a=b;c#d\\e\n[CHAPTER]\0\x1b"}, [Chapter(1, 0.5, "x\nSTART=0")])
    assert text == (
        ";FFMETADATA1\ntitle=a\\=b\\;c\\#d\\\\e\\\n[CHAPTER]\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=1000\ntitle=x\\\nSTART\\=0\n"
    )


def test_a_backslash_at_the_end_does_not_swallow_the_next_tag() -> None:
    assert ffmetadata({"title": "a\\", "artist": "b"}) == ";FFMETADATA1\ntitle=a\\\\ \nartist=b\n"


def test_tags_are_a_closed_list_and_bounded() -> None:
    assert set(TAG_NAMES) == {"title", "artist", "album", "date", "comment", "track", "genre"}
    with pytest.raises(ValueError, match="lyrics"):
        ffmetadata({"lyrics": "x"})
    assert len(ffmetadata({"title": "x" * 10**6}, [Chapter(0, 1)] * 10_000)) < 100_000
