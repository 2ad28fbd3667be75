"""What 50,000 live jobs cost the API in memory, and how long they stop its loop: ``python bench/api/live.py``.

The read model alone, in this process, without HTTP and without an API server.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import orjson
from bench.api.job import live_job

from audiojob_api.jobs.listing.paging import LiveIndex, joined
from audiojob_api.jobs.listing.query import Filter, Order, Query
from audiojob_api.jobs.listing.rows import row_of
from audiojob_api.jobs.listing.steps import Steps
from audiojob_api.jobs.queue_position import QueueSnapshot
from audiojob_api.jobs.statistics.health import Parts, health


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096 / 2**20


@contextmanager
def timed(what: str) -> Iterator[None]:
    began, worked = time.perf_counter(), time.thread_time()
    yield
    wall, own = time.perf_counter() - began, time.thread_time() - worked
    print(f"  {what:44} {1_000 * wall:8.1f} ms, of the processor {1_000 * own:8.1f}")


def longest_step(what: str, work: Steps[Any]) -> None:
    """How long the longest step of some work stops the loop."""
    longest, steps = 0.0, 0
    while True:
        began = time.thread_time()
        try:
            next(work)
        except StopIteration:
            break
        finally:
            longest, steps = max(longest, time.thread_time() - began), steps + 1
    print(f"  {what:44} {1_000 * longest:8.1f} ms of the processor, the longest of {steps} steps")


def changes(index: LiveIndex, count: int) -> None:
    """Every job changes once, so that nothing is left of what was frozen; then as many come that are new."""
    longest, began, pauses = 0.0, 0.0, [0.0]

    def collected(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        else:
            pauses.append(time.thread_time() - began)

    gc.callbacks.append(collected)
    rows = {row.uid: row for row in index.rows()}
    for number in range(2 * count):
        job = orjson.loads(orjson.dumps(live_job(number)))
        start = time.thread_time()
        row = row_of(job)
        index.change(rows.get(row.uid), row)
        longest = max(longest, time.thread_time() - start)
        rows[row.uid] = row
    gc.callbacks.remove(collected)
    print(f"  {'longest of 100,000 changes':44} {1_000 * longest:8.1f} ms of the processor")
    print(f"  {'longest garbage collection beside them':44} {1_000 * max(pauses):8.1f} ms of the processor")
    with timed("full garbage collection after them"):
        gc.collect()


def live(count: int) -> None:
    """Memory, and everything that stops the loop."""
    print(f"{count:,} live jobs of {len(orjson.dumps(live_job(count)))} bytes")
    gc.collect()
    gc.freeze()  # the program itself, as the API does before its first list
    before, index = resident(), LiveIndex()
    longest = 0.0
    for number in range(count):
        job = orjson.loads(orjson.dumps(live_job(number)))
        began = time.perf_counter()
        index.change(None, row_of(job))
        longest = max(longest, time.perf_counter() - began)
    gc.collect()
    print(f"  {'memory':44} {resident() - before:8.1f} MiB")
    print(f"  {'longest change of one job':44} {1_000 * longest:8.1f} ms")
    for order in Order:
        with timed(f"sorting all by {order}, before clients come"):
            index.make_order(order)
    with timed("full garbage collection, before clients come"):
        gc.collect()
    gc.freeze()
    changes(index, count)
    for order in Order:
        with timed(f"page by {order}"):
            index.find(Query(order=order))
    longest_step("page of a filter that nothing matches", index.finding(Query(Filter(user="nobody"))))
    wide = Query(Filter(text="song-4"), Order.FINISHED, limit=200)
    longest_step("page of 200 of a text in many names", index.finding(wide))
    longest_step("count of a state", index.counting(Filter(state="Succeeded")))
    longest_step("positions", QueueSnapshot.making(index.rows(), datetime(2026, 11, 29, tzinfo=UTC), 600))
    fine = Parts(synced=True, silent_seconds=1, stale_after_seconds=150, database=("Ready", ""), unarchived=0)
    longest_step("health", health(index.rows(), fine, 1_800_000_000_000))
    with timed("a page of 200 unpacked"):
        for row in joined(Query(limit=200), index.find(Query(limit=200)))[0]:
            row.unpack()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", type=int, default=50_000)
    live(parser.parse_args().live)
