"""Which uploads may go: those made through the API that no job can want any more. Pure.

What people put into the uploads folder by hand has no record of ours beside it, and is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from audiojob_types.resources.job import State

RECORD: Final = ".upload.json"  # as the files service names it
UPLOAD: Final = re.compile(r"up-[0-9a-f]{32}")
UNUSED: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """A complete upload's folder. ``used``: when its record was last written, which the API does when a job is made."""

    folder: str
    bytes: int
    used: datetime

    @property
    def id(self) -> str:
        """The upload's."""
        return self.folder.rpartition("/")[2]


@dataclass(slots=True)
class UploadUses:
    """What AudioJobs say of uploads, by their ids: those that a job may yet read, and when others were last read."""

    needed: set[str] = field(default_factory=set)
    used: dict[str, datetime] = field(default_factory=dict)

    def add(self, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """One AudioJob. Only one that has succeeded, at a time that can be read, is done with its uploads: any other
        waits, runs, or may be retried.
        """
        named = {key.partition("/")[0] for key in _object_keys(spec)}
        ended = _time(status.get("completionTime")) if status.get("state") == State.SUCCEEDED else None
        for upload in named:
            if ended is None:
                self.needed.add(upload)
            else:
                self.used[upload] = max(ended, self.used.get(upload, ended))


def unused(
    stored: list[StoredUpload], uses: UploadUses, references: frozenset[str], now: datetime
) -> list[StoredUpload]:
    """Those that nobody needs and nobody used for a day, the oldest first. Statuses name the keys ``references``."""
    found = []
    for each in stored:
        last = max(each.used, uses.used.get(each.id, each.used))
        named = any(key.startswith(f"{each.folder}/") for key in references)
        if each.id not in uses.needed and not named and now - last > UNUSED:
            found.append(each)
    return sorted(found, key=lambda each: (each.used, each.folder))


def _object_keys(node: object) -> Iterator[str]:
    """Every ``object.key`` of a spec, at any depth: fields that later versions add count too."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "object" and isinstance(value, Mapping) and isinstance(value.get("key"), str):
                yield value["key"]
            yield from _object_keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from _object_keys(value)


def _time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
