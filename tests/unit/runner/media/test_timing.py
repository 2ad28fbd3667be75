from __future__ import annotations

import pytest

from audiojob_runner.media.probe import read_probe
from audiojob_runner.media.timing import PLAIN, Timing, timing_filters, timing_options


@pytest.mark.parametrize(
    ("timing", "options", "first"),
    [
        pytest.param(PLAIN, [], [], id="nothing is left out"),
        pytest.param(Timing(past_end=True), ["-ignore_length", "1"], [], id="sound behind the end"),
        pytest.param(Timing(seconds=2.5), [], ["atrim=duration=2.500000"], id="padding behind the sound"),
        pytest.param(
            Timing(seconds=2.5, lead_seconds=0.02322),
            ["-itsoffset", "-0.023220"],
            ["atrim=start=0:duration=2.500000"],
            id="padding on both sides",
        ),
    ],
)
def test_what_is_not_played_is_left_out(timing: Timing, options: list[str], first: list[str]) -> None:
    assert (timing_options(timing), timing_filters(timing)) == (options, first)


@pytest.mark.parametrize(
    ("name", "sound", "whole", "want"),
    [
        pytest.param("mov", 1.5, 0.5, Timing(timeline=True, late_seconds=1.0), id="beside an earlier film"),
        pytest.param("matroska", 60.0, 60.0, Timing(timeline=True), id="all of it late"),
        pytest.param("mov", -0.02, -0.02, Timing(timeline=True, lead_seconds=0.02), id="before the beginning"),
        pytest.param("mpegts", 2.4, 1.4, Timing(timeline=True, late_seconds=1.0, shifted=True), id="a broadcast"),
        pytest.param("wav", 0.0, 0.0, PLAIN, id="no timeline"),
    ],
)
def test_when_sound_starts(name: str, sound: float, whole: float, want: Timing) -> None:
    stream = {"codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": 44_100, "start_time": sound}
    info = read_probe({"format": {"format_name": name, "start_time": whole}, "streams": [stream]})
    assert info.timing.late_seconds == pytest.approx(want.late_seconds)
    assert (info.timing.lead_seconds, info.timing.shifted) == (want.lead_seconds, want.shifted)
    assert info.timing.timeline == want.timeline
