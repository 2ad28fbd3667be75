from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.media import ffmpeg
from audiojob_runner.media.ffmpeg import Failure, FfmpegError, ProgressReader, WavRequest, failure_of

SOURCE = Path("/work/-i concat:a|b.mp3")
REQUEST = WavRequest(SOURCE, Path("/work/audio.wav"), "mp3", 0, "anull", 10)


@pytest.mark.parametrize(
    "command", [ffmpeg.probe_command(SOURCE), ffmpeg.wav_command(REQUEST)], ids=["ffprobe", "ffmpeg"]
)
def test_every_call_is_guarded(command: list[str]) -> None:
    source = command.index("file:/work/-i concat:a|b.mp3")
    for option, forbidden in (
        ("-protocol_whitelist", {"http", "https", "tcp", "concat", "data", "pipe", "subfile"}),
        ("-format_whitelist", {"hls", "concat", "dash", "sdp", "rtsp", "image2", "svg_pipe", "avi", "lavfi"}),
        ("-codec_whitelist", {"magicyuv", "h264", "mjpeg", "webvtt", "cook"}),
    ):
        position = command.index(option)
        allowed = set(command[position + 1].split(","))
        assert position < source, f"{option} comes too late"
        assert allowed
        assert not allowed & forbidden
    assert {"-max_streams", "-max_alloc"} <= set(command[:source])


def test_the_demuxer_is_forced_to_what_was_probed() -> None:
    command = ffmpeg.wav_command(REQUEST)
    position = command.index("-f")
    assert command[position + 1] == "mp3"
    assert position < command.index("-i")


def test_a_demuxer_that_is_not_listed_is_never_forced() -> None:
    with pytest.raises(FfmpegError) as caught:
        ffmpeg.wav_command(WavRequest(SOURCE, SOURCE, "concat", 0, "anull", 10))
    assert caught.value.failure is Failure.REFUSED


@pytest.mark.parametrize(
    ("returncode", "complaint", "want"),
    [
        (1, "av_interleaved_write_frame(): No space left on device", Failure.DISK_FULL),
        (1, "Disk quota exceeded", Failure.DISK_FULL),
        (1, "Cannot allocate memory", Failure.OUT_OF_MEMORY),
        (-9, "", Failure.OUT_OF_MEMORY),
        (69, "", Failure.DAMAGED),
        (0, "Error writing trailer of file:x: No space left on device", Failure.DISK_FULL),
        (1, "  Metadata:\n    title           : No space left on device", Failure.REFUSED),
        (0, "Error closing file file:x: Input/output error", Failure.UNWRITTEN),
        (1, "Invalid data found when processing input", Failure.REFUSED),
        (-11, "", Failure.REFUSED),
        (0, "", None),
        (0, "Cannot allocate memory", None),
        (0, "  Metadata:\n    title           : Error writing trailer", None),
    ],
)
def test_how_a_tool_failed(returncode: int, complaint: str, want: Failure | None) -> None:
    assert failure_of(returncode, complaint) is want


def test_positions_are_read_from_pieces_of_any_size() -> None:
    seen: list[float] = []
    reader = ProgressReader(seen.append)
    stream = b"out_time_us=N/A\nframe=1\nout_time_us=500000\nout_time_us=500000\nout_time_us=2000000\nprogress=end\n"
    moved = [reader.feed(stream[index : index + 1]) for index in range(len(stream))]
    assert seen == [0.5, 2.0]
    assert moved.count(True) == 2


def test_an_endless_line_is_not_kept() -> None:
    reader = ProgressReader(lambda _: None)
    for _ in range(100):
        assert not reader.feed(b"x" * 10_000)
    assert len(reader._rest) <= 1_000
