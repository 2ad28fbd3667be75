"""kopf's answers without what no decision reads: kopf parses, queues and keeps each object whole until it was handled.

Users write as much metadata as etcd takes, and a thousand such objects arrive in a burst.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS
from audiojob_operator.state.projections import trim_audiojob

_EVENTS: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})  # bookmarks and errors have no AudioJob


def concerns(url: URL) -> bool:
    """Whether the answer to this request has AudioJobs: a list, or a watch."""
    return url.path.endswith(f"/{AUDIOJOBS.plural}")


def trimmed_line(line: bytes) -> bytes:
    """One line of a watch, its AudioJob trimmed. A line that is no event stays as it is: kopf says what is wrong."""
    try:
        event = orjson.loads(line)
        if event["type"] not in _EVENTS:
            return line
        return orjson.dumps({"type": event["type"], "object": _trimmed(event["object"])})
    except (ValueError, TypeError, KeyError):
        return line


def trimmed_list(answer: Any) -> Any:
    """A page of a list, its AudioJobs trimmed in place."""
    if isinstance(answer, dict) and isinstance(items := answer.get("items"), list):
        answer["items"] = [_trimmed(item) for item in items]
    return answer


def _trimmed(obj: Object) -> Object:
    return {**{name: obj[name] for name in ("apiVersion", "kind") if name in obj}, **trim_audiojob(obj)}


class _Lines:
    """The body of a watch, a whole line in each chunk. All else is the reader's own: aiohttp asks it how it ended."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Trimmed lines; a line is as long as its object, whatever `size` is."""
        begun = bytearray()
        async for chunk in self._content.iter_chunked(size):
            begun += chunk
            *lines, rest = begun.split(b"\n")
            if lines:
                begun = rest
            for line in lines:
                yield trimmed_line(bytes(line)) + b"\n"
        if begun:
            yield bytes(begun)


class TrimmedResponse(aiohttp.ClientResponse):
    """An answer of the API server, of which AudioJobs are trimmed as soon as they are parsed."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Read the head; the body of a watch is read through :class:`_Lines`."""
        await super().start(connection)
        if concerns(self.url) and "watch" in self.url.query and self.status == HTTPStatus.OK:
            self.content = _Lines(self.content)  # type: ignore[assignment]
        return self

    async def json(self, **options: Any) -> Any:
        """The parsed body. A page is parsed from its bytes, which go at once: as text it would be there three times."""
        if not concerns(self.url) or self.status != HTTPStatus.OK:
            return await super().json(**options)
        body, self._body = await self.read(), None
        return trimmed_list(orjson.loads(body))
