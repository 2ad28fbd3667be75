"""Records a live HLS stream from now on: asks for its playlist again and again, and keeps each new segment.

yt-dlp leaves this to ffmpeg, which it is not given. Segments of one format are one file when put one behind another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import yt_dlp
from yt_dlp.networking import Request

from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.fetch.common import FetchTools, check_whole, too_large
from audiojob_runner.fetch.ytdlp.hls import MediaPlaylist, Segment, parse_playlist
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.download import DownloadParameters

MAX_PLAYLIST_BYTES: Final = 16 * 1024**2
PIECE_BYTES: Final = 256 * 1024
# A stream that lists nothing new in so many requests has ended without saying so.
PATIENT_ROUNDS: Final = 20
# Where a recording begins: this many segments before the newest, as players do.
FIRST_SEGMENTS: Final = 3

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _State:
    last: int | None = None
    seconds: float = 0.0
    received: int = 0
    quiet_rounds: int = 0


def record(
    downloader: yt_dlp.YoutubeDL,
    each: dict[str, Any],
    path: Path,
    wanted: DownloadParameters,
    tools: FetchTools,
    on_bytes: Callable[[int, float | None], None],
) -> None:
    """Write the stream of one format to ``path`` until it is long enough or ends. Raises :class:`PhaseError`."""
    if not str(each.get("protocol") or "").startswith("m3u8"):
        raise _cannot("Only live streams in HLS can be recorded.")
    state = _State()
    with path.open("wb") as file:
        while True:
            playlist = _read(downloader, each)
            if playlist.encrypted:
                raise _cannot("The live stream is encrypted, and cannot be recorded.")
            if state.last is None and playlist.header_url:
                _copy(downloader, each, playlist.header_url, file, state, tools)
            for segment in new_segments(playlist, state.last):
                _copy(downloader, each, segment.url, file, state, tools)
                state.last, state.quiet_rounds = segment.number, -1
                state.seconds += segment.seconds or playlist.target_seconds
                on_bytes(state.received, state.seconds / wanted.max_recording_seconds)
                if state.seconds >= wanted.max_recording_seconds:
                    return
            state.quiet_rounds += 1
            if playlist.ended or state.quiet_rounds >= PATIENT_ROUNDS:
                break
            if tools.cancelled.wait(playlist.target_seconds / 2):
                raise stopped()
    if state.received == 0:
        raise PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "The live stream brings nothing.")


def new_segments(playlist: MediaPlaylist, last: int | None) -> tuple[Segment, ...]:
    """What of a playlist has not been recorded; the newest few of it at the beginning."""
    if last is None:
        return playlist.segments[-FIRST_SEGMENTS:]
    return tuple(segment for segment in playlist.segments if segment.number > last)


def _read(downloader: yt_dlp.YoutubeDL, each: dict[str, Any]) -> MediaPlaylist:
    with downloader.urlopen(Request(each["url"], headers=each.get("http_headers") or {})) as answer:
        text = answer.read(MAX_PLAYLIST_BYTES).decode("utf-8", "replace")
        playlist = parse_playlist(text, answer.url)
    if playlist is None:
        raise PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "The live stream has no HLS playlist.")
    return playlist


def _copy(
    downloader: yt_dlp.YoutubeDL, each: dict[str, Any], url: str, file: BinaryIO, state: _State, tools: FetchTools
) -> None:
    with downloader.urlopen(Request(url, headers=each.get("http_headers") or {})) as answer:
        while piece := answer.read(PIECE_BYTES):
            if tools.cancelled.is_set():
                raise stopped()
            state.received += len(piece)
            if state.received > tools.limits.max_bytes:
                raise too_large(tools.limits.max_bytes)
            file.write(piece)
    check_whole(tools)


def _cannot(message: str) -> PhaseError:
    return PhaseError(
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.LIVE_NOT_ALLOWED,
        message,
        "Create the job again when the broadcast is over and its recording is available.",
    )
