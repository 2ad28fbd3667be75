"""How far estimates are off, on jobs that simulate work: ``python bench/api/estimates.py [--known 300] [--asked 200]``.

Each job runs two phases of the task Simulate in this process, one of a fixed time, one that grows with the length of
the media; both differ from job to job (a normal distribution of the logarithm). A second here stands for a minute of a
cluster, and times are whole seconds of that, as statuses have them. The known ones go into an archive (SQLite); the
others are estimated by their length alone, before anything is known of them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audiojob_api.archive.statistics import Statistics
from audiojob_api.archive.store import ArchiveStore
from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.jobs.estimates.steps import steps_of, total_of
from audiojob_api.jobs.listing.rows import row_of
from audiojob_api.sql.database import Database
from audiojob_api.sql.url import parse
from audiojob_runner.tasks import TaskContext
from audiojob_runner.tasks.simulate import run
from audiojob_types.base import format_time
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.resources.pipeline import AudioPipelineSpec
from audiojob_types.tasks.simulate import SimulateParameters

NAMESPACE, PIPELINE = "bench", "simulated"
CLOCK = 60.0  # seconds of a cluster in one of this bench
FETCH_SECONDS, START_SECONDS, SECONDS_A_MINUTE = 12.0, 8.0, 4.0
AT_ONCE = 16
SPEC = AudioPipelineSpec.model_validate({
    "phases": [{"name": name, "task": "Simulate", "resources": {"cpu": "1"}} for name in ("fetch", "work")]
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """A job that has run."""

    minutes: float
    seconds: tuple[int, int]
    """Of each phase, by the cluster's clock."""


def _simulate(seconds: float, minutes: float, folder: Path) -> int:
    """Run the task; how long it took, by the cluster's clock."""
    context = TaskContext(
        work_dir=folder, models_root=folder, device=Device.CPU, limits=PhaseLimits(), network=PhaseNetwork(),
        progress=lambda _percent, _message: None, log=logging.getLogger("bench"), attempt=1, job_uid=folder.name,
        cancelled=threading.Event(),
    )  # fmt: skip
    length = round(minutes * 60_000)
    wanted = SimulateParameters(duration_milliseconds=round(seconds / CLOCK * 1_000), media_milliseconds=length)
    began = time.monotonic()
    run({}, wanted, context)
    return round((time.monotonic() - began) * CLOCK)


def run_job(number: int, noise: float, root: Path) -> Done:
    """One job of a length by its number."""
    chosen = random.Random(number)  # noqa: S311 - the same jobs each time
    minutes = chosen.lognormvariate(1.3, 0.6)
    folder = root / f"job-{number}"
    folder.mkdir()
    fetch = _simulate(FETCH_SECONDS * chosen.lognormvariate(0, noise), minutes, folder)
    work = START_SECONDS + SECONDS_A_MINUTE * minutes * chosen.lognormvariate(0, noise)
    return Done(minutes, (fetch, _simulate(work, minutes, folder)))


def stored(number: int, done: Done) -> dict[str, Any]:
    """The job as the cluster has it once it has ended."""
    moment, phases = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1), []
    began = moment
    for name, seconds in zip(("fetch", "work"), done.seconds, strict=True):
        ended = moment + timedelta(seconds=seconds)
        phases.append({
            "name": name, "state": "Succeeded", "device": "CPU", "startTime": format_time(moment),
            "completionTime": format_time(ended),
        })  # fmt: skip
        moment = ended
    outputs = [{"name": "output", "phase": "work", "durationMilliseconds": round(done.minutes * 60_000)}]
    status = {
        "state": "Succeeded", "startTime": format_time(began), "completionTime": format_time(moment),
        "phases": phases, "outputs": outputs,
    }  # fmt: skip
    metadata = {
        "name": f"job-{number}", "namespace": NAMESPACE, "uid": f"uid-{number}", "resourceVersion": "1",
        "creationTimestamp": format_time(began),
    }  # fmt: skip
    return {"metadata": metadata, "spec": {"pipeline": PIPELINE}, "status": status}


async def errors(known: list[Done], asked: list[Done], folder: Path) -> list[float]:
    """How far each estimate is off, as a share of what the job took."""
    database = Database(parse(f"sqlite:///{folder / 'archive.db'}"))
    await database.open()
    store = ArchiveStore(database, "bench")
    epoch = await store.take()
    assert epoch is not None
    rows = [row_of(stored(number, done)) for number, done in enumerate(known)]
    for at in range(0, len(rows), 100):
        await store.put(epoch, rows[at : at + 100])
    works = await Statistics(ArchiveWriter(store, {}, 90), NAMESPACE).works(PIPELINE)
    await database.close()
    found = []
    for done in asked:
        total = total_of(SPEC, steps_of(SPEC, works, done.minutes, None, {}))
        assert total is not None
        found.append(abs(total.seconds - sum(done.seconds)) / sum(done.seconds))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--known", type=int, default=300)
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.25, help="of the logarithm of a phase's time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        root = Path(folder)
        numbers = range(given.known + given.asked)
        jobs = list(pool.map(lambda number: run_job(number, given.noise, root), numbers))
        known, asked = jobs[: given.known], jobs[given.known :]
        found = asyncio.run(errors(known, asked, root))
    usual = statistics.median(sum(each.seconds) for each in known)
    constant = statistics.median(abs(usual - sum(each.seconds)) / sum(each.seconds) for each in asked)
    ordered = sorted(found)
    print(f"{len(known)} jobs known, {len(asked)} asked; took {min(map(_took, jobs))} to {max(map(_took, jobs))} s")
    within = ordered[len(ordered) * 9 // 10]
    print(f"estimates: median error {statistics.median(found):.1%}, nine of ten within {within:.1%}")
    print(f"always the median of those known ({usual:.0f} s): median error {constant:.1%}")


def _took(done: Done) -> int:
    return sum(done.seconds)


if __name__ == "__main__":
    main()
