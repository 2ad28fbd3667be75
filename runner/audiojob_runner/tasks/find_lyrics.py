"""FindLyrics: asks the administrator's service for the words of a song. A job goes on whatever comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import FetchLimits
from audiojob_runner.fetch.session import SessionLimits, fetch_session
from audiojob_runner.lookup.answers import Found, UnusableAnswerError
from audiojob_runner.lookup.service import Service
from audiojob_runner.lookup.songs import Song, song_of
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.tasks.find_lyrics import FindLyricsParameters

SOURCE_INPUT, AUDIO_INPUT = "source", "audio"
# Of one answer, and of all with what goes with them. A song has some kilobytes, a search some dozens of songs.
MAX_ANSWER_BYTES: Final = 2 * 1024**2
_MAX_BYTES: Final = 16 * 1024**2
NOT_SET: Final = "No service for lyrics is set (fetch.lyricsAddress of the chart): words were looked up nowhere."
NO_NAMES: Final = "Title and artist of the song are not both known: words were not looked up."


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Metadata of ``source`` and ``audio`` to output ``found``, where the service knows the song.

    ``reason`` of the metadata says why there is no output: NotSet, NoNames, NotFound, Instrumental, Unavailable. Raises
    :class:`PhaseError` only where it was stopped.
    """
    assert isinstance(parameters, FindLyricsParameters)
    address = context.network.lyrics_address
    if address is None:
        return _nothing("NotSet", context, NOT_SET)
    told = [inputs[name].metadata for name in (SOURCE_INPUT, AUDIO_INPUT) if name in inputs]
    song = song_of({name: getattr(parameters, name) for name in ("title", "artist", "album")}, told)
    if not song.title or not song.artist:
        return _nothing("NoNames", context, NO_NAMES)
    service = urlsplit(address).hostname or ""
    context.progress(0, f"Asking {service}")
    try:
        found = _find(address, song, parameters, context)
    except UnusableAnswerError as error:
        return _nothing("Unavailable", context, f"The answer of {service} cannot be used: {error}.")
    except PhaseError as error:
        if error.exit_code == ExitCode.STOPPED:
            raise
        why = error.message.replace("The source's ", "Its ").replace("The source ", "It ")
        return _nothing("Unavailable", context, f"{service} gives no words. {why}")
    if found is None:
        return _nothing("NotFound", context)
    if not found.words:
        return _nothing("Instrumental", context)
    return _written(found, service, context)


def _find(address: str, song: Song, parameters: FindLyricsParameters, context: TaskContext) -> Found | None:
    limits = FetchLimits(MAX_ANSWER_BYTES, max_duration_seconds=2**31, max_seconds=parameters.timeout_seconds)
    with fetch_session(SessionLimits(limits, _MAX_BYTES), context) as tools:
        return Service(address, tools, lambda what: context.progress(50, what)).find(song)


def _written(found: Found, service: str, context: TaskContext) -> TaskResult:
    path = context.work_dir / ("found.lrc" if found.synced else "found.txt")
    path.write_text(found.words, encoding="utf-8", newline="")
    about = {"service": service, "title": found.title[:300], "artist": found.artist[:300]}
    context.progress(100, "Words found")
    media_type = "text/x-lrc" if found.synced else "text/plain"
    return TaskResult([TaskOutput("found", path, media_type, about)], {**about, "timed": bool(found.synced)})


def _nothing(reason: str, context: TaskContext, warning: str = "") -> TaskResult:
    """No words, and that is no failure."""
    metadata: dict[str, Any] = {"reason": reason}
    if warning:
        context.log.warning("%s", warning)
        metadata["warnings"] = [warning]
    context.progress(100, "No words found")
    return TaskResult([], metadata)
