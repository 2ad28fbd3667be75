"""Which Kubernetes rights each call needs: every right that its effect or its answer implies.

The API acts with an account of its own, so it is the one place where a caller could get more than its own account has.
All rights are on AudioJobs of the served namespace; `docs/api.md` shows this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Call(StrEnum):
    """What a caller asks for."""

    CREATE = "create"
    ESTIMATE = "estimate"
    LIST = "list"
    GET = "get"
    FOLLOW = "follow"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    CHANGE = "change"
    REVIEW = "review"
    RETRY = "retry"
    UPLOAD = "upload"
    SEND_PART = "send-part"
    GET_UPLOAD = "get-upload"
    DOWNLOAD = "download"
    READ_LOG = "read-log"


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on AudioJobs; ``name`` where the right to this one job is enough."""

    verb: str
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.verb} audiojobs" if self.name is None else f"{self.verb} the audiojob {self.name!r}"


# `get` beside a change: every answer shows the whole job, with its source.
VERBS: Final[Mapping[Call, tuple[str, ...]]] = {
    Call.CREATE: ("create",),
    Call.ESTIMATE: ("create", "list"),  # it tells how long others' jobs took, and which have done the same work
    Call.LIST: ("list",),
    Call.GET: ("get",),
    Call.FOLLOW: ("get",),
    Call.CANCEL: ("update", "get"),
    Call.SUSPEND: ("update", "get"),
    Call.RESUME: ("update", "get"),
    Call.CHANGE: ("update", "get"),
    Call.REVIEW: ("update", "get"),
    Call.RETRY: ("create", "get"),
    # An upload is there to make a job of; its maker alone sees it. Outputs and logs are part of the job.
    Call.UPLOAD: ("create",),
    Call.SEND_PART: ("create",),
    Call.GET_UPLOAD: ("create",),
    Call.DOWNLOAD: ("get",),
    Call.READ_LOG: ("get",),
}
CHANGES: Final = frozenset(Call) - {
    Call.ESTIMATE, Call.LIST, Call.GET, Call.FOLLOW, Call.SEND_PART, Call.GET_UPLOAD, Call.DOWNLOAD, Call.READ_LOG,
}  # fmt: skip
# Kubernetes asks for these without a name: no Role can allow them for one job.
_WITHOUT_NAME: Final = frozenset({"create", "list"})


def rights_of(call: Call, name: str | None) -> tuple[Right, ...]:
    """What the call needs before anything is looked up; ``name`` is the job of its path."""
    return tuple(Right(verb, None if verb in _WITHOUT_NAME else name) for verb in VERBS[call])


def rights_to_create(job: Mapping[str, Any], *, may_exist: bool) -> tuple[Right, ...]:
    """What creating this job needs besides: it takes over the files of the jobs that it names.

    ``may_exist``: an idempotency key may lead to the job as it is by now, which is then the answer.
    """
    spec = job["spec"]
    source = spec.get("source") or {}
    names = [(source.get("jobRef") or {}).get("name"), spec.get("retryOf")]
    if may_exist:
        names.append(job["metadata"]["name"])
    return tuple(Right("get", name) for name in names if name)
