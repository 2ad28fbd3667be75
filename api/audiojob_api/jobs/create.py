"""Creating AudioJobs: from a request, or as a retry of one that failed; once for each idempotency key."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from audiojob_api.jobs.idempotency import (
    ANNOTATION_REQUEST,
    does_the_same,
    is_same_request,
    key_digest,
    mark,
    refuse_reused_key,
)
from audiojob_api.jobs.ports import JobWriter, LiveJobs
from audiojob_api.jobs.request import JobRequest, fingerprint_of, spec_of
from audiojob_api.problems import Problem, unavailable
from audiojob_kube.errors import AlreadyExists, NotFound
from audiojob_types.constants import API_VERSION, LABEL_USER
from audiojob_types.resources.job import FINISHED_STATES, State

Object = dict[str, Any]

# What a retry does not take over: what was decided about the old job while it lived, and when it was to start.
_NOT_REPEATED = frozenset({"suspend", "cancel", "reviews", "startTime", "retryOf"})
_RETRY_SUFFIX = re.compile(r"-retry-[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Requester:
    """Who creates a job, where, and under which idempotency key."""

    namespace: str
    user: str
    idempotency_key: str | None = None

    @property
    def digest(self) -> str | None:
        """Names the key; None without one."""
        return key_digest(self.user, self.idempotency_key) if self.idempotency_key else None


@dataclass(frozen=True, slots=True)
class Created:
    """A stored job; ``new`` is false where an earlier request with the same key made it."""

    job: Object
    new: bool


def new_job(request: JobRequest, requester: Requester) -> Object:
    """The AudioJob to create. An idempotency key fixes the name, so that the API server keeps it unique."""
    name = request.name or f"job-{requester.digest or secrets.token_hex(8)}"
    given = request.given()
    return _job(name, spec_of(given), requester, fingerprint_of(given))


def retry_job(job: Object, requester: Requester) -> Object:
    """The AudioJob that tries ``job`` again: the same spec, without what belongs to the life of the old one.

    Raises a 409 :class:`Problem` unless the job failed or was cancelled.
    """
    state = job.get("status", {}).get("state", State.PENDING)
    if state not in FINISHED_STATES:
        raise Problem(409, "not-finished", f"The job is {state}; retry it once it has ended.")
    if state == State.SUCCEEDED:
        raise Problem(409, "already-finished", "The job has succeeded; create a new one to do the work again.")
    old, digest = job["metadata"]["name"], requester.digest
    # Room for the suffix in 63 characters; a retry of a retry keeps one suffix.
    stem = _RETRY_SUFFIX.sub("", old)[:48].rstrip("-")
    name = f"job-{digest}" if digest else f"{stem}-retry-{secrets.token_hex(4)}"
    spec = {key: value for key, value in job.get("spec", {}).items() if key not in _NOT_REPEATED} | {"retryOf": old}
    fingerprint = hashlib.sha256(f"retry {job['metadata']['uid']}".encode()).hexdigest()
    return _job(name, spec, requester, fingerprint)


async def create_once(wanted: Object, requester: Requester, writer: JobWriter, live: LiveJobs) -> Created:
    """Create the job, or find the one that the same key and request made before.

    Raises a 409 :class:`Problem` for a name that is taken, 422 for a key that was used with another body.
    """
    refuse_reused_key(wanted, live)
    try:
        return Created(await writer.create(wanted), new=True)
    except NotFound:
        raise unavailable(
            f"Namespace {requester.namespace!r} or the AudioJob resource type is missing; ask an administrator."
        ) from None
    except AlreadyExists:
        if requester.idempotency_key is None:
            raise
    existing = await writer.read(wanted["metadata"]["name"])
    if not (is_same_request(wanted, existing) and does_the_same(wanted, existing)):
        raise Problem(409, "name-taken", "Another request made a job of this name; choose another name.")
    return Created(existing, new=False)


def user_label(user: str) -> str:
    """A user name as a label value: readable where it is one, else its hash."""
    # A name with dots of its own is hashed: it could read as somebody else's colons.
    readable = "" if "." in user else user.replace(":", ".")
    allowed = all(character.isascii() and (character.isalnum() or character in "-_.") for character in readable)
    if readable and len(readable) <= 63 and allowed and readable[0].isalnum() and readable[-1].isalnum():
        return readable
    return hashlib.sha256(user.encode()).hexdigest()[:40]


def is_of(job: Object, user: str) -> bool:
    """Whether this user made the job, as the label says that the API alone sets."""
    found: object = (job["metadata"].get("labels") or {}).get(LABEL_USER)
    return found == user_label(user)


def require_own(job: Object, user: str) -> None:
    """Raise a 403 :class:`Problem` for a job of somebody else."""
    if not is_of(job, user):
        detail = "Your role here changes your own jobs only, and this one is somebody else's."
        raise Problem(403, "forbidden", detail)


def _job(name: str, spec: Object, requester: Requester, fingerprint: str) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {
            "name": name,
            "namespace": requester.namespace,
            "labels": {LABEL_USER: user_label(requester.user)},
            "annotations": {ANNOTATION_REQUEST: mark(requester.digest, fingerprint)},
        },
        "spec": spec,
    }
