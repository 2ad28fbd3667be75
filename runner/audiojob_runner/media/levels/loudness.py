"""Measures the loudness (EBU R 128) and the peak of an audio stream, and the gain that brings it to a target."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.media.ffmpeg import (
    DEMUXERS,
    MAX_ERROR_RATE,
    Failure,
    FfmpegError,
    ProgressReader,
    file_argument,
    guards,
    run_tool,
)
from audiojob_runner.media.timing import PLAIN, Timing, timing_options

# Encoders overshoot a little; players must not clip.
MAX_TRUE_PEAK: Final = -1.0
# The gate of EBU R 128: what is quieter is silence, and its measured loudness says nothing.
SILENCE_LUFS: Final = -70.0

_INTEGRATED: Final = re.compile(r"^\s*I:\s+(\S+) LUFS", re.MULTILINE)
_PEAK: Final = re.compile(r"^\s*Peak:\s+(\S+) dBFS", re.MULTILINE)
_METER: Final = "ebur128=peak=true:framelog=verbose"
_SAMPLE_PEAK: Final = re.compile(r"Peak level dB: (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Loudness:
    """``integrated`` in LUFS over the whole, ``true_peak`` in dBTP; minus infinity for digital silence."""

    integrated: float
    true_peak: float

    @property
    def silent(self) -> bool:
        """Whether there is nothing that could be made louder."""
        return self.integrated <= SILENCE_LUFS or not math.isfinite(self.true_peak)

    @property
    def unmeasured(self) -> bool:
        """Whether there is sound, but less than the 0.4 s that EBU R 128 measures at once, or a click in silence."""
        return self.integrated <= SILENCE_LUFS < self.true_peak

    def gain(self, target: float) -> float:
        """Decibels that bring the whole to ``target`` LUFS, less where its peaks would rise above the limit."""
        return 0.0 if self.silent else min(target - self.integrated, MAX_TRUE_PEAK - self.true_peak)


@dataclass(frozen=True, slots=True)
class LoudnessRequest:
    """What to measure: one stream of one file, by the demuxer that the probe found."""

    source: Path
    demuxer: str
    index: int
    max_seconds: int
    filters: str = "anull"
    timing: Timing = PLAIN


def measure(request: LoudnessRequest, position: Callable[[float], None], cancelled: threading.Event) -> Loudness:
    """Decode the whole stream and measure it. Raises :class:`FfmpegError`."""
    return read_summary(run_tool(loudness_command(request), ProgressReader(position).feed, cancelled, None))


def sample_peak(request: LoudnessRequest, rate: int, cancelled: threading.Event) -> float:
    """The highest sample at this sample rate, in dB of full scale: above 0 for what integers do not hold.

    Minus infinity for silence. Raises :class:`FfmpegError`.
    """
    meter = f"aformat=sample_fmts=dbl:sample_rates={rate},astats=measure_perchannel=none:measure_overall=Peak_level"
    complaint = run_tool(loudness_command(request, meter), ProgressReader(lambda _: None).feed, cancelled, None)
    found = _SAMPLE_PEAK.search(complaint.rpartition("Overall")[2])
    if found is None:
        raise FfmpegError(Failure.REFUSED, "no peak was measured")
    try:
        return float(found[1])
    except ValueError as error:
        raise FfmpegError(Failure.REFUSED, "the measured peak is no number") from error


def loudness_command(request: LoudnessRequest, meter: str = _METER) -> list[str]:
    """The whole ffmpeg command that measures one stream with a filter that writes what it has measured."""
    if request.demuxer not in DEMUXERS:
        raise FfmpegError(Failure.REFUSED, f"demuxer {request.demuxer}")
    return [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "info",
        "-progress", "pipe:1", "-stats_period", "0.5", "-max_error_rate", str(MAX_ERROR_RATE),
        *guards((request.demuxer,)), "-f", request.demuxer, *timing_options(request.timing),
        "-i", file_argument(request.source),
        "-map", f"0:{request.index}", "-map_metadata", "-1", "-map_chapters", "-1", "-t", str(request.max_seconds),
        "-af", f"{request.filters},{meter}", "-f", "null", "-",
    ]  # fmt: skip


def read_summary(complaint: str) -> Loudness:
    """The summary at the end of what ffmpeg writes. Raises :class:`FfmpegError` where there is none."""
    summary = complaint.rpartition("Summary:")[2]
    integrated, peak = _INTEGRATED.search(summary), _PEAK.search(summary)
    if integrated is None or peak is None:
        raise FfmpegError(Failure.REFUSED, "no loudness was measured")
    try:
        return Loudness(float(integrated[1]), float(peak[1]))
    except ValueError as error:
        raise FfmpegError(Failure.REFUSED, "the measured loudness is no number") from error
