"""Names and labels of everything that the operator creates."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from audiojob_types import constants as c

_LABEL_VALUE: Final = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_MAX_LABEL: Final = 63
_JOB_CHARACTERS: Final = 30


def digest(*parts: object, characters: int = 8) -> str:
    """The first hexadecimal characters of the sha256 of the parts, joined with '/'."""
    joined = "/".join(str(part) for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:characters]


def child_name(job: str, uid: str, phase: str, attempt: int) -> str:
    """The Job of an attempt: at most 57 characters, so that its pods' names are never cut."""
    return f"{job[:_JOB_CHARACTERS].rstrip('-')}-{phase}-{attempt}-{digest(uid, phase, attempt)}"


def event_name(job: str, uid: str, reason: str, phase: str, attempt: int) -> str:
    """The event of a fact: the same fact always has the same name, so that it is recorded once."""
    return f"{job}.{digest(uid, reason, phase, attempt, characters=16)}"


def output_prefix(namespace: str, uid: str) -> str:
    """The job's folder in the store."""
    return f"{namespace}/{uid}"


def label_value(text: str) -> str:
    """``text`` if it may be a label's value, else what may be of it and a hash: 63 characters at most."""
    if text == "" or (len(text) <= _MAX_LABEL and _LABEL_VALUE.match(text)):
        return text
    cut = re.sub(r"[^-A-Za-z0-9_.]", "-", text)[: _MAX_LABEL - 9].strip("-_.")
    return f"{cut}-{digest(text)}" if cut else digest(text)


def child_labels(*, job: str, uid: str, phase: str, attempt: int, queue: str, pipeline: str) -> dict[str, str]:
    """Labels of a Job and of its pods."""
    return {
        c.LABEL_NAME: c.APP_NAME,
        c.LABEL_PART_OF: c.APP_NAME,
        c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR,
        c.LABEL_JOB: label_value(job),
        c.LABEL_UID: label_value(uid),
        c.LABEL_PHASE: label_value(phase),
        c.LABEL_ATTEMPT: str(attempt),
        c.LABEL_QUEUE: label_value(queue),
        c.LABEL_PIPELINE: label_value(pipeline),
    }
