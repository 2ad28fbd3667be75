from __future__ import annotations

import math
from pathlib import Path

import pytest

from audiojob_runner.media.ffmpeg import FfmpegError
from audiojob_runner.media.levels.loudness import Loudness, LoudnessRequest, loudness_command, read_summary

SUMMARY = """[Parsed_ebur128_0 @ 0x1] Summary:

  Integrated loudness:
    I:         {integrated} LUFS
    Threshold: -32.0 LUFS

  Loudness range:
    LRA:         3.0 LU

  True peak:
    Peak:      {peak} dBFS
"""


def test_the_last_summary_is_read() -> None:
    early = SUMMARY.format(integrated="0.0", peak="-inf")
    text = early + "noise\n" + SUMMARY.format(integrated="-21.8", peak="-17.7")
    assert read_summary(text) == Loudness(-21.8, -17.7)


@pytest.mark.parametrize(
    "text",
    ["", "Summary:\n", SUMMARY.format(integrated="x", peak="-1"), SUMMARY.format(integrated="-20", peak="loud")],
    ids=["nothing", "no values", "a word for the loudness", "a word for the peak"],
)
def test_no_summary_is_an_error(text: str) -> None:
    with pytest.raises(FfmpegError):
        read_summary(text)


@pytest.mark.parametrize(
    ("loudness", "target", "want"),
    [
        pytest.param(Loudness(-21.8, -17.7), -14, 7.8, id="louder"),
        pytest.param(Loudness(-8.0, 0.5), -14, -6.0, id="quieter"),
        pytest.param(Loudness(-21.8, -3.0), -14, 2.0, id="as loud as its peaks let it"),
        pytest.param(Loudness(-20.0, 2.0), -20, -3.0, id="its peaks are too high already"),
        pytest.param(Loudness(-70.0, -80.0), -14, 0.0, id="below the gate"),
        pytest.param(Loudness(-70.0, -math.inf), -14, 0.0, id="digital silence"),
    ],
)
def test_the_change_of_level(loudness: Loudness, target: float, want: float) -> None:
    assert loudness.gain(target) == pytest.approx(want)


def test_the_measuring_call_is_guarded() -> None:
    command = loudness_command(LoudnessRequest(Path("/work/-i x"), "flac", 0, 10))
    before = command[: command.index("-i")]
    assert before[before.index("-format_whitelist") + 1] == before[before.index("-f") + 1] == "flac"
    assert {"-protocol_whitelist", "-codec_whitelist", "-max_streams", "-max_alloc"} <= set(before)
    with pytest.raises(FfmpegError):
        loudness_command(LoudnessRequest(Path("/work/x"), "hls", 0, 10))
