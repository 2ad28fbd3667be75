"""Pages of jobs, newest first, by keyset cursor: jobs that come or go meanwhile move no page."""

from __future__ import annotations

import base64
import binascii
import heapq
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from audiojob_api.problems import FieldProblem, Problem

Object = dict[str, Any]
Position = tuple[str, str]  # creationTimestamp, name


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; None matches everything."""

    state: str | None = None
    pipeline: str | None = None
    queue: str | None = None

    def matches(self, job: Object) -> bool:
        """Whether ``job`` is wanted."""
        spec, status = job.get("spec", {}), job.get("status", {})
        return (
            self.state in (None, status.get("state"))
            and self.pipeline in (None, spec.get("pipeline"))
            and self.queue in (None, spec.get("queueName"))
        )


@dataclass(frozen=True, slots=True)
class Page:
    """The jobs of one page; ``cursor`` gets the next one, None on the last."""

    items: list[Object]
    cursor: str | None = None


def page(jobs: Iterable[Object], wanted: Filter, *, limit: int, cursor: str | None) -> Page:
    """One page of these jobs. Raises a 400 :class:`Problem` for a cursor that is not ours."""
    after = _decode(cursor) if cursor else None
    rest = (job for job in jobs if wanted.matches(job) and (after is None or _position(job) < after))
    found = heapq.nlargest(limit + 1, rest, key=_position)
    items = found[:limit]
    return Page(items, _encode(_position(items[-1])) if len(found) > limit else None)


def _position(job: Object) -> Position:
    return job["metadata"]["creationTimestamp"], job["metadata"]["name"]


def _encode(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _decode(cursor: str) -> Position:
    try:
        created, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(created, str) and isinstance(name, str):
            return created, name
    except (ValueError, TypeError, RecursionError, binascii.Error):
        pass
    detail = "cursor: this API did not issue it; leave it out to start at the first page"
    raise Problem(400, "invalid-cursor", detail, (FieldProblem(pointer="/cursor", detail=detail),))
