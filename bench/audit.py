"""What the API server's audit log tells of a benchmark: writes by writer, and microseconds of creates."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_WRITERS = (
    "audiojob-operator",
    "audiojob-bench",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
)
# `<job>-<phase>-<attempt>-<hash>`, see build/names.py
_CHILD = re.compile(r"^(?P<job>.+)-(?P<phase>[a-z]+)-(?P<attempt>\d+)-[0-9a-f]{8}$")

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """From byte ``start`` of the log up to byte ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Created:
    """One successful create: seconds since the epoch when the request came and when the answer went out."""

    name: str
    received: float
    answered: float


def writer(entry: Entry) -> str:
    """Who wrote, by user agent."""
    agent = str(entry.get("userAgent", ""))
    return next((name for name in _WRITERS if agent.startswith(name)), agent.split("/", maxsplit=1)[0])


def entries(log: Path, namespace: str, span: Span) -> Iterator[Entry]:
    """Finished writes to a namespace in a span of the log."""
    with log.open("rb") as file:
        file.seek(span.start)
        position = span.start
        for line in file:
            position += len(line)
            if position > span.end:
                return
            entry = json.loads(line)
            if entry.get("objectRef", {}).get("namespace") == namespace:
                yield entry


def resource(entry: Entry) -> str:
    """`jobs`, `audiojobs/status`, …"""
    target = entry["objectRef"]
    return "/".join(filter(None, (target.get("resource"), target.get("subresource"))))


def succeeded(entry: Entry) -> bool:
    """Whether the server did it."""
    return int(entry.get("responseStatus", {}).get("code", 500)) < 300


def count_writes(found: Iterator[Entry]) -> Counter[tuple[str, str, str, str]]:
    """Writes by writer, verb, resource and result ("ok" or the HTTP code)."""
    counted: Counter[tuple[str, str, str, str]] = Counter()
    for entry in found:
        result = "ok" if succeeded(entry) else str(entry.get("responseStatus", {}).get("code"))
        counted[writer(entry), entry["verb"], resource(entry), result] += 1
    return counted


def creates(found: Iterator[Entry], kind: str, by: str) -> list[Created]:
    """Successful creates of a resource by one writer, in the order of their answers."""
    return [
        Created(
            entry["objectRef"].get("name", ""),
            _seconds(entry["requestReceivedTimestamp"]),
            _seconds(entry["stageTimestamp"]),
        )
        for entry in found
        if entry["verb"] == "create" and resource(entry) == kind and writer(entry) == by and succeeded(entry)
    ]


def parent(child: str) -> tuple[str, str]:
    """AudioJob and phase of one of the operator's Jobs, by its name."""
    found = _CHILD.match(child)
    if found is None:
        raise ValueError(f"{child!r} is not named as the operator names Jobs")
    return found["job"], found["phase"]


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
