"""Uploads: who owns one, what a new one is told, and how a job names it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Protocol

from pydantic import BeforeValidator, Field

from audiojob_api.files.ports import Answer, Call, Files
from audiojob_api.numbers import whole_numbers
from audiojob_api.problems import Problem, unavailable
from audiojob_store.ticket import MAX_UPLOAD_BYTES, UploadId, UploadState, Verb, parts_of
from audiojob_types.base import Sha256, WireModel
from audiojob_types.resources.job import FINISHED_STATES, State

Object = dict[str, Any]

MAX_STATE_BYTES: Final = 256 * 1024
_GONE: Final = 404
_AT_ONCE: Final = 100  # jobs that are unpacked before others have their turn


_MEDIA_TYPE: Final = r"^[A-Za-z0-9][-A-Za-z0-9!#$&^_.+]*/[A-Za-z0-9][-A-Za-z0-9!#$&^_.+]*$"  # RFC 6838


class UploadRequest(WireModel):
    """A file that is to come."""

    name: Annotated[str, Field(min_length=1, max_length=255, description="name of the file, for people.")]
    bytes: Annotated[
        int, Field(strict=True, ge=1, le=MAX_UPLOAD_BYTES, description="bytes it has."), BeforeValidator(whole_numbers)
    ]
    media_type: Annotated[
        str, Field(max_length=100, pattern=_MEDIA_TYPE, description="mediaType such as audio/flac.")
    ] = "application/octet-stream"
    sha256: Annotated[Sha256, Field(description="sha256 of the whole file, which is then compared.")] | None = None


class UploadView(UploadState):
    """An upload as it is shown. Parts are counted from 1; each but the last has ``partBytes`` bytes."""

    parts: Annotated[
        tuple[int, ...], Field(max_length=10_000, description="parts are the numbers of those there.")
    ] = ()
    part_count: Annotated[int, Field(description="partCount is how many parts the file has.")]
    part_url: Annotated[str, Field(description="partUrl takes part {part}.")]


def new_id() -> str:
    """An id that nobody guesses."""
    return f"up-{secrets.token_hex(16)}"


def owner_of(username: str) -> str:
    """Who made an upload, in the form that is stored beside it: it tells nobody who that is."""
    return hashlib.sha256(username.encode()).hexdigest()


def call(namespace: str, upload: str, verb: Verb, username: str, **claims: Any) -> Call:
    """A request about an upload of this caller."""
    method, path = _PATHS[verb]
    return Call(namespace, method, f"/v1/uploads/{upload}{path}", verb, upload, {"owner": owner_of(username), **claims})


_PATHS: Final = {
    Verb.CREATE: ("POST", ""),
    Verb.STATUS: ("GET", ""),
    Verb.DELETE: ("DELETE", ""),
    Verb.PART: ("PUT", "/part"),
    Verb.WHOLE: ("PUT", "/whole"),
    Verb.COMPLETE: ("POST", "/complete"),
    Verb.USE: ("POST", "/use"),
}


async def ask(files: Files, wanted: Call) -> UploadState:
    """The state that such a request answers with."""
    async with files.open(wanted) as answer:
        return await state_of(answer)


async def state_of(answer: Answer) -> UploadState:
    """What the service answers about an upload. Raises a 503 Problem for what is no such answer."""
    try:
        return UploadState.read(await answer.read(MAX_STATE_BYTES))
    except ValueError:
        raise unavailable("The files service answers in another form; its version may differ.") from None


async def stored_bytes(files: Files, namespace: str, upload: str, username: str) -> int | None:
    """How many bytes an upload of this user has in the store; None once it is gone. Raises a Problem where that is
    not known.
    """
    try:
        return (await ask(files, call(namespace, upload, Verb.STATUS, username))).bytes
    except Problem as problem:
        if problem.status == _GONE:
            return None
        raise


def view(state: UploadState, part_url: str) -> Object:
    """The JSON form of :class:`UploadView`."""
    return UploadView(**state.model_dump(), part_count=parts_of(state.bytes), part_url=part_url).to_wire()


async def key_of(files: Files, namespace: str, upload: UploadId, username: str) -> str:
    """The ``object.key`` of a complete upload of this caller, which is kept from now on as if it came now.

    Raises a 404 Problem for one that is not theirs, 409 for one that is not complete.
    """
    state = await ask(files, call(namespace, upload, Verb.USE, username))
    if state.key is None:
        raise unavailable("The files service names no key for the upload.")
    return state.key


async def key_so_far(files: Files, namespace: str, upload: UploadId, username: str) -> str | None:
    """As :func:`key_of`, but it is kept no longer for that; None for one that is not complete."""
    return (await ask(files, call(namespace, upload, Verb.STATUS, username))).key


class Named(Protocol):
    """A job of the read model, as far as uploads go."""

    @property
    def name(self) -> str:
        """Of the job."""

    @property
    def state(self) -> str:
        """As its status has it."""

    def unpack(self) -> Object:
        """The job."""


async def refuse_in_use(jobs: Iterable[Named], upload: str) -> None:
    """Raise a 409 Problem while a job that has not succeeded names the upload: it may yet read it, or be retried."""
    for number, job in enumerate([each for each in jobs if each.state != State.SUCCEEDED]):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)  # others are served meanwhile
        if any(key.startswith(f"{upload}/") for key in keys_of(job.unpack().get("spec", {}))):
            what = "and may be retried" if job.state in FINISHED_STATES else "and reads it"
            raise Problem(409, "upload-in-use", f"Job {job.name!r} is {job.state} {what}; the upload stays.")


def keys_of(spec: Object) -> Iterator[str]:
    """Every ``object.key`` that a spec names: of its source, its inputs, and those of its reviews."""
    sources = [spec.get("source") or {}, *(spec.get("inputs") or [])]
    for review in spec.get("reviews") or []:
        sources += review.get("inputs") or []
    for source in sources:
        key = (source.get("object") or {}).get("key")
        if isinstance(key, str):
            yield key


def digest(listed: bytes) -> str:
    """What a ticket says of a list."""
    return hashlib.sha256(listed).hexdigest()


def encoded(value: object) -> bytes:
    """JSON."""
    return json.dumps(value).encode()
