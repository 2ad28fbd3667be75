"""Server-sent events (by the WHATWG's rules, as far as the API uses them). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from audiojob_client.errors import BadAnswer

MOST_BYTES: Final = 256 * 1024 * 1024
"""Of one event. A log's piece has at most 32 MiB, each byte six characters at most; a job at most 1.5."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``id`` is what to go on after."""

    name: str
    data: str
    id: str | None

    def json(self) -> Any:
        """Its data. Raises :class:`BadAnswer` for what is no JSON."""
        try:
            return json.loads(self.data)
        except ValueError:
            raise BadAnswer(f"the event {self.name!r} is no JSON") from None


class Parser:
    """Makes events of bytes as they come. Only line feeds end a line: text may hold other separators."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end within these bytes. Raises :class:`BadAnswer` for one that is too long."""
        *lines, self._rest = (self._rest + chunk).split(b"\n") if b"\n" in chunk else (self._rest + chunk,)
        if self._size + len(self._rest) > MOST_BYTES:
            raise BadAnswer("an event is larger than any of the API's")
        return [event for event in map(self._line, lines) if event is not None]

    def _line(self, raw: bytes) -> Event | None:
        line = raw.removesuffix(b"\r").decode("utf-8", "replace")
        if not line:
            made = Event(self._name or "message", "\n".join(self._data), self._id) if self._data else None
            self._name, self._data, self._size = "", [], 0
            return made
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "id":
            self._id = value
        elif name == "data":
            self._size += len(raw)
            self._data.append(value)
        return None
