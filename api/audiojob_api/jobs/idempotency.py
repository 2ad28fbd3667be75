"""One job for one Idempotency-Key: the key makes the name, and the API server keeps names unique.

Each job carries the mark of the request that made it: which key of which caller, and which body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

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


def is_same_request(wanted: Object, existing: Object) -> bool:
    """Whether ``existing`` was made by the same key and body. Raises a 422 :class:`Problem` for another body."""
    key, body = _marks(wanted)
    other_key, other_body = _marks(existing)
    if key and key == other_key and body != other_body:
        raise Problem(
            422, "idempotency-key-reused", "This Idempotency-Key was used with another body; choose a new key."
        )
    return (key, body) == (other_key, other_body)


def refuse_reused_key(wanted: Object, jobs: Iterable[Object]) -> None:
    """Find the key under another name, which a body may set. Raises a 422 :class:`Problem`.

    It sees what this replica knows; that one name is one job is ensured by the API server.
    """
    if _marks(wanted)[0]:
        for job in jobs:
            is_same_request(wanted, job)


def does_the_same(wanted: Object, existing: Object) -> bool:
    """Whether a stored job is what is wanted, for the same user: a mark that no policy guards proves nothing.

    What may change of a spec may have changed, and the API server has added defaults.
    """
    given = {name: value for name, value in wanted["spec"].items() if name not in AudioJobSpec.MUTABLE}
    users = [(job["metadata"].get("labels") or {}).get(LABEL_USER) for job in (wanted, existing)]
    return users[0] == users[1] and _within(given, existing.get("spec", {}))


def _within(given: object, stored: object) -> bool:
    if isinstance(given, dict) and isinstance(stored, dict):
        return all(name in stored and _within(value, stored[name]) for name, value in given.items())
    if isinstance(given, list) and isinstance(stored, list):
        return len(given) == len(stored) and all(map(_within, given, stored))
    return given == stored


def _marks(job: Object) -> tuple[str, str]:
    key, _, body = job["metadata"].get("annotations", {}).get(ANNOTATION_REQUEST, "").partition(".")
    return key, body
