"""Finished jobs by number, and a cluster that keeps its marks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from audiojob_api.jobs.listing.paging import LiveIndex
from audiojob_api.jobs.listing.rows import JobRow, row_of

BEGIN = datetime(2026, 11, 29, tzinfo=UTC)
LABELS = ("team",)
STATES = ("Succeeded", "Failed", "Cancelled")


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def finished(number: int, **spec: Any) -> JobRow:
    """Job number n was made at second 10 n, began a second later, and took n seconds."""
    state = STATES[number % 3]
    ended = 10 * number + 1 + number
    began = at(10 * number + 1)
    phases = [
        {"name": "fetch", "state": "Succeeded", "startTime": began, "completionTime": at(ended), "device": "CPU"},
        {"name": "split", "state": "Succeeded", "reusedFrom": "x", "completionTime": at(ended), "device": "GPU"},
    ]  # fmt: skip
    status: dict[str, Any] = {
        "state": state, "startTime": began, "completionTime": at(ended), "phases": phases,
    }  # fmt: skip
    if state == "Failed":
        status["error"] = {"reason": "NotMedia", "message": "no"}
    labels = {"team": f"t{number % 2}", "audiojobs.dev/user": f"u{number % 5}"}
    metadata = {
        "name": f"song-{number}", "namespace": "team", "uid": f"uid-{number:06d}", "resourceVersion": "1",
        "creationTimestamp": at(10 * number), "labels": labels,
    }  # fmt: skip
    shown = {"pipeline": f"p{number % 2}", "queueName": f"q{number % 4}", "priority": number % 10 + 1, **spec}
    return row_of({"metadata": metadata, "spec": shown, "status": status}, LABELS)


def waiting(number: int, queue: str, created: datetime, **status: Any) -> JobRow:
    """A job that waits for its turn, or whatever the status says."""
    metadata = {
        "name": f"w-{number}", "namespace": "team", "uid": f"w-{number}", "resourceVersion": "1",
        "creationTimestamp": created.isoformat(),
    }  # fmt: skip
    return row_of({"metadata": metadata, "spec": {"queueName": queue}, "status": {"state": "Queued", **status}})


class Cluster:
    """Live jobs, marked as archived or not."""

    def __init__(self) -> None:
        self.index = LiveIndex()
        self.marks: list[str] = []
        self.refuses = False
        self.seconds_old = 1.0

    def jobs(self) -> Collection[JobRow]:
        return self.index.rows()

    def synced(self) -> bool:
        return True

    def age(self) -> float:
        return self.seconds_old

    async def find(self, name: str) -> dict[str, Any] | None:
        return next((row.unpack() for row in self.index.rows() if row.name == name), None)

    def require_synced(self) -> None:
        return

    async def mark_archived(self, row: JobRow) -> bool:
        if self.refuses:
            return False
        self.marks.append(row.uid)
        self.index.change(row, replace(row, archived=True))
        return True
