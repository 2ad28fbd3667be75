"""Asks the service: for the very song, then for songs of its name; and again, where a failure may pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus, urlencode

from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.fetch.answer import ask
from audiojob_runner.fetch.common import FetchTools
from audiojob_runner.lookup.answers import Found, choose, fits, read_record, read_records
from audiojob_runner.lookup.songs import Song
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

TRIES: Final = 3
PAUSE_SECONDS: Final = 1.0
# A service that asks for more patience is left alone.
MOST_PATIENCE_SECONDS: Final = 20
MOST_ENCODED: Final = 450


class Service:
    """One service, at an address without a slash at its end."""

    def __init__(self, address: str, tools: FetchTools, say: Callable[[str], None]) -> None:
        self._address = address.rstrip("/")
        self._tools = tools
        self._say = say

    def find(self, song: Song) -> Found | None:
        """The song as the service knows it; None where it does not.

        Raises :class:`PhaseError`, and :class:`audiojob_runner.lookup.answers.UnusableAnswerError`.
        """
        names = {"track_name": song.title, "artist_name": song.artist}
        exact = {**names, **({"album_name": song.album} if song.album else {})}
        if song.seconds is not None:
            exact["duration"] = str(round(song.seconds))
        raw = self._ask("api/get", exact)
        found = read_record(raw) if raw is not None else None
        if found is not None and fits(found, song) and (found.words or found.instrumental):
            return found
        self._say("Looking for songs of that name")
        raw = self._ask("api/search", names)
        return choose(read_records(raw), song) if raw is not None else None

    def _ask(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """The answer; None for 404."""
        url = f"{self._address}/{path}?{urlencode({name: _short(text) for name, text in query.items()})}"
        for tried in range(1, TRIES + 1):
            try:
                return ask(url, self._tools)
            except PhaseError as error:
                pause = _pause(error, tried)
                if pause is None:
                    raise
                if self._tools.cancelled.wait(pause):
                    raise stopped() from error
                self._tools.refusals.clear()
        raise AssertionError("the last try returns or raises")


def _short(text: str) -> str:
    """So much of a name that an address has room for it."""
    while len(quote_plus(text)) > MOST_ENCODED:
        text = text[:-1]
    return text


def _pause(error: PhaseError, tried: int) -> float | None:
    """Seconds until the next try; None to give up."""
    if error.exit_code != ExitCode.TEMPORARY or tried >= TRIES or error.reason is Reason.TOO_SLOW:
        return None
    asked = error.retry_after_seconds or 0
    return None if asked > MOST_PATIENCE_SECONDS else max(float(asked), PAUSE_SECONDS * 2 ** (tried - 1))
