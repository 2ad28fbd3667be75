"""Which jobs make a queue deep, and what many looks at it amount to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.jobs.statistics.depth import Depth, Named, Sample, over_time

NOW = 1_800_000_000_000
EMPTY, WAITS, RUNS = Depth(), Depth(waiting=1, longest_ms=60_000), Depth(running=1)


def row(state: str, reason: str = "QueueFull", admitted: str = "False", **changes: Any) -> JobRow:
    condition = {"type": "Admitted", "status": admitted, "reason": reason}
    job = {"metadata": {"name": "song"}, "status": {"state": state, "conditions": [condition]}}
    return replace(row_of(job), created=NOW - 60_000, queue="q", **changes)


SITUATIONS = {
    "it waits for a slot": (row("Queued"), WAITS),
    "it waits for a GPU": (row("Queued", "WaitingForGPU"), WAITS),
    "its queue is on hold": (row("Queued", "Held"), WAITS),
    "it is new, and nobody looked at it": (row("Pending", "WaitingForOperator"), WAITS),
    "it waits for another job": (row("Pending", "WaitingForSource"), EMPTY),
    "it is suspended": (row("Suspended", held_back=True), EMPTY),
    "its start time is to come": (row("Queued", not_before=NOW + 1), EMPTY),
    "its start time was a second ago": (row("Queued", not_before=NOW - 1_000), Depth(waiting=1, longest_ms=1_000)),
    "it has a slot": (row("Queued", "Admitted", "True"), RUNS),
    "it runs": (row("Running", "Admitted", "True"), RUNS),
    "it has ended": (row("Failed", "Admitted", "True"), EMPTY),
    "a clock that goes behind the cluster's": (row("Queued", not_before=NOW - 60_000), WAITS),
}


@pytest.mark.parametrize(("job", "depth"), SITUATIONS.values(), ids=SITUATIONS)
def test_a_job_makes_its_queue_deeper_while_only_the_queue_keeps_it(job: JobRow, depth: Depth) -> None:
    sample = Sample(NOW)
    sample.add([job])
    assert sample.depths == ({"": depth, "q": depth} if depth != EMPTY else {"": EMPTY})


def test_more_names_than_are_kept_count_in_all_alone_and_an_hour_later_anew() -> None:
    sample = Sample(NOW)
    sample.add([replace(row("Queued"), queue=f"q{number % 4}") for number in range(10)])
    named = Named(most=2)
    assert set(named.of(0, sample)) == {"", "q0", "q1"}, "the deepest"
    assert named.of(0, sample)[""].waiting == 10
    other = Sample(NOW)
    other.add([replace(row("Queued"), queue="q3")])
    assert set(named.of(0, other)) == {""}
    assert set(named.of(3_600_000, other)) == {"", "q3"}


def test_a_mean_is_over_all_samples_also_those_that_found_a_queue_empty() -> None:
    counts = {"most_waiting": 6, "running": 0, "most_running": 0, "longest_ms": 61_500}
    rows = [
        SimpleNamespace(name=0, queue=queue, samples=samples, waiting=9, **counts)
        for queue, samples in (("", 12), ("q", 3))
    ]
    whole, one = (each.to_wire() for each in over_time(rows))
    assert "queue" not in whole
    assert one == {
        "queue": "q", "samples": 12, "meanWaiting": 0.75, "mostWaiting": 6, "meanRunning": 0, "mostRunning": 0,
        "longestWaitSeconds": 61.5,
    }  # fmt: skip
