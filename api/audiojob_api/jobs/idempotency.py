"""One job for one Idempotency-Key: the key makes the name, and the API server keeps names unique.

Each job carries the mark of the request that made it: which key of which caller, and which body. Others may write
marks too, so a mark alone proves nothing: the job must be what the request asks for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from weakref import WeakValueDictionary

from pydantic import ValidationError

from audiojob_api.problems import Problem
from audiojob_types.constants import GROUP, LABEL_USER
from audiojob_types.resources.job import AudioJobSpec

Object = dict[str, Any]

ANNOTATION_REQUEST = f"{GROUP}/request"


def key_digest(user: str, key: str) -> str:
    """Names a key of one caller; two callers' equal keys differ."""
    return hashlib.sha256(f"{user}\n{key}".encode()).hexdigest()[:20]


def mark(digest: str | None, fingerprint: str) -> str:
    """The annotation's value; ``digest`` is None for a request without a key."""
    return f"{digest or ''}.{fingerprint}"


def digest_in(mark: str) -> str:
    """The digest in a mark; "" for a request without a key."""
    return mark.partition(".")[0]


def is_same_request(wanted: Object, existing: Object) -> bool:
    """Whether ``existing`` has the mark of caller, key and body. Raises a 422 :class:`Problem` for another body."""
    if _user(wanted) != _user(existing):
        return False
    key, body = _marks(wanted)
    other_key, other_body = _marks(existing)
    if key and key == other_key and body != other_body:
        raise _reused()
    return (key, body) == (other_key, other_body)


class Marked(Protocol):
    """A job that this replica knows, as far as it is asked here."""

    @property
    def user(self) -> str | None:
        """The label of its user."""

    @property
    def request(self) -> str:
        """Its mark; "" for none."""


class Keys(Protocol):
    """What this replica knows of the jobs that there are."""

    def jobs(self) -> Iterable[Marked]:
        """All of them."""

    def may_have_key(self, digest: str) -> bool:
        """Whether any may have been made with this key."""


def refuse_reused_key(wanted: Object, known: Keys) -> None:
    """Find the key under another name, which a body may set. Raises a 422 :class:`Problem`.

    It sees what this replica knows; that one name is one job is ensured by the API server.
    """
    user, (key, body) = _user(wanted), _marks(wanted)
    if key and known.may_have_key(key):
        start, whole = f"{key}.", f"{key}.{body}"
        for job in known.jobs():
            if job.request.startswith(start) and job.request != whole and job.user == user:
                raise _reused()


class OneByOne:
    """Requests of one caller with one key, each after the one before: it finds what that one has made.

    Those that two replicas are sent at the same moment meet at the job's name alone.
    """

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    @asynccontextmanager
    async def turn(self, digest: str | None) -> AsyncIterator[None]:
        """Its turn; at once for a request without a key."""
        if digest is None:
            yield
            return
        async with self._locks.setdefault(digest, asyncio.Lock()):
            yield


def does_the_same(wanted: Object, existing: Object) -> bool:
    """Whether a stored job is what is wanted: a mark that no policy guards proves nothing.

    What may change of a spec may have changed, and the API server has added defaults; nothing else may be there.
    """
    return _made_of(wanted) == _made_of(existing)


def _reused() -> Problem:
    return Problem(422, "idempotency-key-reused", "This Idempotency-Key was used with another body; choose a new key.")


def _user(job: Object) -> object:
    return (job["metadata"].get("labels") or {}).get(LABEL_USER)


def _made_of(job: Object) -> Object | None:
    """What a request fixes for good, with the defaults that the API server adds; None for what cannot be read."""
    try:
        spec = AudioJobSpec.read(job.get("spec", {})).model_dump(mode="json", by_alias=True)
    except ValidationError:
        return None
    return {key: value for key, value in spec.items() if key not in AudioJobSpec.MUTABLE}


def _marks(job: Object) -> tuple[str, str]:
    key, _, body = job["metadata"].get("annotations", {}).get(ANNOTATION_REQUEST, "").partition(".")
    return key, body
