"""The web application: one handler for each verb of a ticket."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from audiojob_files.gate import Gate, Keys
from audiojob_files.refusals import Refusal, explained
from audiojob_files.serving import headers
from audiojob_files.serving.logs import MAX_PIECES, MAX_TAIL, find_log
from audiojob_files.serving.sending import Answer, Content
from audiojob_files.serving.zips import Checksums, Zip
from audiojob_files.settings import FilesSettings
from audiojob_files.stored import Stored, stored_by
from audiojob_files.uploads.receiving import Receiver, Turns
from audiojob_files.uploads.whole import WholeReceiver
from audiojob_store.ticket import HEADER, MAX_LIST_BYTES, NEXT_PIECE, Link, Ticket, UploadState, Verb, ZipList

_log = logging.getLogger(__name__)

CLEANING_SECONDS: Final = 3_600
# By a link somebody may put 5 GiB whose upload is removed, or complete, already. One request lists what there is.
CLEANING_SECONDS_BEHIND_LINKS: Final = 60
_COMPLETED_AT_ONCE: Final = 2  # each keeps a thread for as long as its file is read: the others are for parts
_EPOCH: Final = datetime(1980, 1, 1, tzinfo=UTC)
_TEXT: Final = "text/plain"


class FilesApp:
    """The handlers, and what they stand on."""

    def __init__(self, settings: FilesSettings, stored: Stored) -> None:
        self._settings = settings
        self._gate = Gate(settings.namespace, Keys(settings.keys))
        self._contents, self._uploads, self._links = stored.contents, stored.uploads, stored.links
        self._receiver = Receiver(self._uploads)
        self._turns = Turns()
        self._whole = WholeReceiver(self._uploads, self._turns)
        self._checksums = Checksums(self._contents)
        self._completing = asyncio.Semaphore(_COMPLETED_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """Every path; all but the probe ask for a ticket."""
        return [
            web.get("/livez", self.live, allow_head=False),
            web.get("/v1/file", self.file),
            web.get("/v1/link", self.link, allow_head=False),
            web.post("/v1/zip", self.zip),
            web.get("/v1/log", self.log, allow_head=False),
            web.post("/v1/uploads/{id}", self.create),
            web.get("/v1/uploads/{id}", self.status, allow_head=False),
            web.delete("/v1/uploads/{id}", self.delete),
            web.put("/v1/uploads/{id}/part", self.part),
            web.put("/v1/uploads/{id}/whole", self.whole),
            web.post("/v1/uploads/{id}/complete", self.complete),
            web.post("/v1/uploads/{id}/use", self.use),
        ]

    # ---------------------------------------------------------------- out

    async def live(self, _: web.Request) -> web.Response:
        """Whether the process answers. A store that hangs must not restart it."""
        return web.json_response({"status": "alive"})

    async def file(self, request: web.Request) -> web.StreamResponse:
        """An output or a manifest."""
        ticket = self._ticket(request, Verb.READ)
        size, sha256 = ticket.size, ticket.sha256
        if sha256 is None:
            raise Refusal(403, "bad-ticket", "The ticket is refused: it names no content.")
        key = self._own(ticket.key)
        async with self._contents.opened(key, size) as source:
            answer = Answer(Content(source.size, ticket.name or "file", ticket.type or "", sha256))
            part = await answer.begin(request)
            if part is not None:
                await source.send(request, answer, *part)
        await answer.write_eof()
        return answer

    async def link(self, request: web.Request) -> web.Response:
        """Where a client takes a file out itself, if it can."""
        ticket = self._ticket(request, Verb.LINK)
        key, kind = self._own(ticket.key), headers.media_type(ticket.type)
        if self._links is None:
            return web.json_response(Link().to_wire())
        async with self._contents.opened(key, ticket.size):
            url = self._links.to_take(key, headers.disposition(ticket.name or "file", kind), kind)
        return web.json_response(Link(url=url).to_wire())

    async def zip(self, request: web.Request) -> web.StreamResponse:
        """Several outputs as one zip. Its list is the body; the ticket has the list's sha256."""
        ticket = self._ticket(request, Verb.ZIP)
        body = await request.content.read(MAX_LIST_BYTES + 1)
        while len(body) <= MAX_LIST_BYTES and (more := await request.content.read(MAX_LIST_BYTES + 1)):
            body += more
        if hashlib.sha256(body).hexdigest() != ticket.body:
            raise Refusal(403, "bad-ticket", "The ticket is refused: it is for another list.")
        try:
            files = ZipList.read(body).entries
        except ValidationError:
            raise Refusal(422, "bad-list", "The list of the zip is not valid.") from None
        wanted = Zip.of([each.model_copy(update={"key": self._own(each.key)}) for each in files], _EPOCH)
        for each in wanted.files:  # what is missing is said before the first byte
            async with self._contents.opened(each.key, each.bytes):
                pass
        answer = Answer(wanted.content(ticket.name or "files.zip"))
        await wanted.send(request, answer, self._checksums)
        return answer

    async def log(self, request: web.Request) -> web.StreamResponse:
        """A log: the last lines (``tail``), or the pieces from one on (``from``), at most so many (``most``)."""
        ticket = self._ticket(request, Verb.LOG)
        tail, most = _number(request, "tail", MAX_TAIL), _number(request, "most", MAX_PIECES)
        log = await find_log(self._contents, self._own(ticket.key))
        if tail is not None:
            part = await log.tail(tail)
        else:
            part = log.since(_number(request, "from", 1_000_000) or 0, MAX_PIECES if most is None else most)
        following = part.numbers[-1] + 1 if part.numbers else log.next
        answer = web.StreamResponse(headers={**headers.SAFE, "Accept-Ranges": "none", NEXT_PIECE: str(following)})
        answer.content_type, answer.charset = _TEXT, "utf-8"
        await answer.prepare(request)
        try:
            async for piece in log.read(part):
                await answer.write(piece)
        except Refusal as refusal:  # the head was sent: the connection is all that can end
            raise ConnectionAbortedError(refusal.detail) from refusal
        await answer.write_eof()
        return answer

    # ---------------------------------------------------------------- in

    async def create(self, request: web.Request) -> web.Response:
        """A new upload; what its maker says of it is in the ticket."""
        ticket = self._ticket(request, Verb.CREATE)
        async with self._turns.of("create"):
            made = await asyncio.to_thread(self._uploads.create, ticket, datetime.now(UTC))
        return _shown(made, 201)

    async def status(self, request: web.Request) -> web.Response:
        """An upload, with the parts that are there."""
        ticket = self._ticket(request, Verb.STATUS)
        return _shown(await asyncio.to_thread(self._uploads.state, ticket.key, ticket.owner))

    async def part(self, request: web.Request) -> web.Response:
        """A part; the same bytes again are the same part."""
        ticket = self._ticket(request, Verb.PART)
        sha256 = await self._receiver.receive(request, ticket)
        return web.json_response({"part": ticket.part, "sha256": sha256})

    async def whole(self, request: web.Request) -> web.Response:
        """A file by one request: an upload that is complete, or none."""
        ticket = self._ticket(request, Verb.WHOLE)
        state, new = await self._whole.receive(request, ticket)
        return _shown(state, 201 if new else 200)

    async def complete(self, request: web.Request) -> web.Response:
        """Make the parts an upload."""
        ticket = self._ticket(request, Verb.COMPLETE)
        async with self._turns.of(ticket.key), self._completing:
            work = asyncio.to_thread(self._uploads.complete, ticket.key, ticket.owner, datetime.now(UTC))
            # It goes on where the client has gone: the next one is told the same.
            done = await asyncio.shield(asyncio.ensure_future(work))
        return _shown(done)

    async def use(self, request: web.Request) -> web.Response:
        """A job is to be made of it."""
        ticket = self._ticket(request, Verb.USE)
        return _shown(await asyncio.to_thread(self._uploads.use, ticket.key, ticket.owner))

    async def delete(self, request: web.Request) -> web.Response:
        """Remove an upload."""
        ticket = self._ticket(request, Verb.DELETE)
        async with self._turns.of(ticket.key):
            await asyncio.to_thread(self._uploads.delete, ticket.key, ticket.owner)
        return web.Response(status=204)

    # ---------------------------------------------------------------- shared

    def _ticket(self, request: web.Request, verb: Verb) -> Ticket:
        return self._gate.admit(request.headers.get(HEADER), verb, request.match_info.get("id"))

    def _own(self, key: str) -> str:
        """The key, if it lies in this namespace's folder. What else a key may be is looked at where it is opened."""
        if not key.startswith(f"{self._settings.namespace}/"):
            raise Refusal(403, "bad-ticket", "The ticket is refused: its key is another namespace's.")
        return key

    async def clean(self, _: web.Application) -> AsyncIterator[None]:
        """While the service runs: remove what nobody completed."""
        task = asyncio.create_task(self._clean_for_ever(), name="cleaning")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _clean_for_ever(self) -> None:
        age = timedelta(hours=self._settings.unfinished_hours)
        while True:
            try:
                removed = await asyncio.to_thread(self._uploads.remove_unfinished, datetime.now(UTC), age)
                if removed:
                    _log.info("Removed %d uploads that nobody completed", removed)
            except (OSError, Refusal) as error:  # a folder's failure, a bucket's
                _log.warning("Unfinished uploads cannot be removed: %s", error)
            await asyncio.sleep(CLEANING_SECONDS if self._links is None else CLEANING_SECONDS_BEHIND_LINKS)


def create_app(settings: FilesSettings) -> web.Application:
    """The application."""
    handlers = FilesApp(settings, stored_by(settings))
    app = web.Application(middlewares=[explained], client_max_size=MAX_LIST_BYTES)
    app.add_routes(handlers.routes())
    app.cleanup_ctx.append(handlers.clean)
    return app


def _shown(state: UploadState, status: int = 200) -> web.Response:
    return web.json_response(state.to_wire(), status=status)


def _number(request: web.Request, name: str, most: int) -> int | None:
    value = request.query.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise Refusal(422, "invalid-request", f"{name}: must be a whole number.")
    return min(int(value), most)
