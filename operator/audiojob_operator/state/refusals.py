"""AudioJobs whose status the API server refuses for good: how often, and whether they are given up.

Such a job would hold its slot for ever, and begin its work again and again: nothing that it does can be recorded.
Counts are of this process; after a restart they begin anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from audiojob_kube.errors import ApiError
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.state.projections import METADATA_DIGEST

MOST: Final = 8
"""After so many refusals in a row a job is given up. With the backoff between them that is half a minute."""

_PERMANENT: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
# What the database says of an object that outgrew it comes as a 500, of which all others pass.
_TOO_LARGE: Final = ("request is too large", "trying to send message larger than max")


@dataclass(frozen=True, slots=True)
class Refused:
    """The refusals of one AudioJob in a row. ``essence`` is what it was like at the last one."""

    uid: str
    essence: str
    count: int
    message: str


def is_permanent(error: ApiError) -> bool:
    """Whether the same write would be refused again, because of what the AudioJob is or a policy says of it."""
    if error.status == HTTPStatus.FORBIDDEN:
        # An admission policy's word. A right that we lack is no fault of the job's, and the preflight reports it.
        return not error.message.partition(" is forbidden: ")[2].startswith('User "')
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return any(text in error.message for text in _TOO_LARGE)
    return error.status in _PERMANENT


def essence(raw: Object) -> str:
    """A hash of what people write of a trimmed AudioJob: only a change of it promises another answer."""
    metadata = raw["metadata"]
    known = [raw.get("spec"), metadata.get(METADATA_DIGEST), metadata.get("deletionTimestamp")]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def refused_again(before: Refused | None, raw: Object, message: str) -> Refused:
    """One more refusal of the job as it is in ``raw``.

    A change of it does not reset the count: who changes a job again and again would hold a slot with it.
    """
    uid: str = raw["metadata"]["uid"]
    count = before.count if before is not None and before.uid == uid else 0
    return Refused(uid, essence(raw), count + 1, message)


def is_given_up(refused: Refused | None, raw: Object) -> bool:
    """Whether nothing more is tried with the job as it is; each change of it brings one more try."""
    return (
        refused is not None
        and refused.count >= MOST
        and refused.uid == raw["metadata"]["uid"]
        and refused.essence == essence(raw)
    )


class Refusals:
    """For one event loop: by AudioJob, as long as it exists and none of its writes is taken."""

    def __init__(self) -> None:
        self._refused: dict[Key, Refused] = {}

    @property
    def given_up(self) -> int:
        """How many jobs were refused so often."""
        return sum(each.count >= MOST for each in self._refused.values())

    def add(self, key: Key, raw: Object, message: str) -> None:
        """The API server has refused the status of the job, which was decided from ``raw``."""
        self._refused[key] = refused_again(self._refused.get(key), raw, message)

    def forget(self, key: Key) -> None:
        """Its status was written, or the job is gone."""
        self._refused.pop(key, None)

    def of(self, key: Key, raw: Object) -> Refused | None:
        """The last refusal of a job that is given up; None for one to be worked on."""
        found = self._refused.get(key)
        return found if is_given_up(found, raw) else None
