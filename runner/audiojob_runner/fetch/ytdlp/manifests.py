"""Holds what a list of pieces or of formats grows to against a limit, before yt-dlp writes all of it out. Pure.

A DASH or Smooth Streaming list says "and so on, a thousand million times" in one attribute, and an HLS list of a few
megabytes names a hundred thousand formats, each of which yt-dlp looks at many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from yt_dlp.utils import parse_duration

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# A day in pieces of two seconds has 43,200, and each of some ten formats lists them anew. yt-dlp takes some 400 bytes
# for each, so this is what fits into the pod.
MAX_PIECES: Final = 500_000
# Sites offer some dozens.
MAX_FORMATS: Final = 2_000


def check_hls(text: str) -> None:
    """Raises :class:`PhaseError` (TooLarge) for a list of too many formats."""
    _check_formats(text.count("#EXT-X-STREAM-INF") + text.count("#EXT-X-MEDIA:"))


def check_dash(root: Element) -> None:
    """Raises :class:`PhaseError` (TooLarge) for too many formats or pieces, and ValueError for what is no number."""
    whole = parse_duration(root.get("mediaPresentationDuration"))
    formats, pieces = 0, 0.0
    for period in _named(root, "Period"):
        seconds = parse_duration(period.get("duration")) or whole or 0.0
        for group in _named(period, "AdaptationSet"):
            # What a format does not say itself, its group or its period says for it.
            above = [_Segments(period), _Segments(group)]
            for each in _named(group, "Representation"):
                formats += 1
                _check_formats(formats)
                pieces += _dash_pieces([*above, _Segments(each)], seconds)
                _check_pieces(pieces)


def check_smooth(root: Element) -> None:
    """The same for Smooth Streaming."""
    formats, pieces = 0, 0
    for stream in _named(root, "StreamIndex"):
        levels = len(_named(stream, "QualityLevel"))
        formats += levels
        pieces += levels * sum(max(1, int(each.get("r") or 1)) for each in _named(stream, "c"))
    _check_formats(formats)
    _check_pieces(pieces)


class _Segments:
    """What one level of a DASH list says of pieces; 0 where it says nothing."""

    def __init__(self, level: Element) -> None:
        self.repeated = self.listed = 0
        self.duration = self.timescale = 0.0
        for source in (*_named(level, "SegmentList"), *_named(level, "SegmentTemplate")):
            lines = [line for timeline in _named(source, "SegmentTimeline") for line in _named(timeline, "S")]
            self.repeated += sum(1 + max(0, int(line.get("r") or 0)) for line in lines)
            self.listed += len(_named(source, "SegmentURL"))
            self.duration = float(source.get("duration") or 0.0)
            self.timescale = float(source.get("timescale") or 0.0)


def _dash_pieces(levels: Sequence[_Segments], seconds: float) -> float:
    """How many pieces one format has at most."""
    duration = next((level.duration for level in reversed(levels) if level.duration), 0.0)
    timescale = next((level.timescale for level in reversed(levels) if level.timescale), 1.0)
    counted = seconds * timescale / duration if duration > 0 else 0.0
    return max(counted, *(max(level.repeated, level.listed) for level in levels))


def _named(element: Element, name: str) -> list[Element]:
    """Children of that name, whatever their namespace."""
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _check_formats(number: int) -> None:
    if number > MAX_FORMATS:
        raise _too_many("formats", MAX_FORMATS)


def _check_pieces(number: float) -> None:
    if number > MAX_PIECES:
        raise _too_many("pieces", MAX_PIECES)


def _too_many(what: str, limit: int) -> PhaseError:
    return PhaseError(
        ExitCode.NOT_MEDIA,
        Reason.TOO_LARGE,
        f"The source lists more {what} than are read: at most {limit}.",
        "Give the address of one of the formats, or of a shorter source.",
    )
