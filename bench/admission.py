"""What a scheduling cycle costs while many jobs wait: ``python bench/admission.py [--jobs N]``.

No cluster: the operator's own scheduler over N AudioJobs that wait in two queues, 8 that run. Three figures, each the
median of many cycles: nothing changed; one job ended and one was created (what a busy operator sees, with the update of
both jobs); and every job changed, which is what each cycle cost when it looked at all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import ChildFacts, JobFacts
from audiojob_operator.admission.scheduler import Scheduler
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteLimit, SiteRules
from audiojob_types.base import format_time
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueueSpec

_AIM_MILLISECONDS = 50.0
_RUNNING = 8
_START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_LIVE = ChildFacts(live=True, gpus=1)
_NOTHING = ChildFacts()
_RULES = SiteRules((SiteLimit("tube.example", max_running=2, pause_seconds=5),))
_QUEUES = {("bench", name): AudioQueueSpec(weight=weight, max_gpus=_RUNNING) for name, weight in (("a", 10), ("b", 30))}


class Load:
    """A scheduler with jobs that wait, and what happens to them."""

    def __init__(self, jobs: int, limits: Limits, phases: list[dict[str, Any]]) -> None:
        self._limits = limits
        self._now = _START
        self._spec = _pipeline(phases)
        self.scheduler = Scheduler(_RULES)
        self.jobs: dict[Key, AudioJob] = {}
        for number in range(jobs + _RUNNING):
            self._create(number, _LIVE if number < _RUNNING else _NOTHING)
        self._number = len(self.jobs)
        self.cycle()

    def cycle(self) -> None:
        self._now += timedelta(seconds=1)
        self.scheduler.cycle(self._limits, self._now)

    def one_ends_and_one_comes(self) -> None:
        key = next(iter(self.jobs))
        del self.jobs[key]
        self.scheduler.update(key, JobFacts(active=False), _NOTHING, self._now)
        self._create(self._number, _NOTHING)
        self._number += 1
        self.cycle()

    def all_change(self) -> None:
        for key, job in self.jobs.items():
            again = job.model_copy()
            self.scheduler.update(key, JobFacts(key[1], again, self._spec), _NOTHING, self._now)
        self.cycle()

    def _create(self, number: int, children: ChildFacts) -> None:
        key = ("bench", f"job-{number:06}")
        metadata = {"name": key[1], "namespace": key[0], "uid": key[1], "creationTimestamp": format_time(_START)}
        spec = {
            "pipeline": "bench",
            "queueName": "ab"[number % 2],
            "priority": number % 10 + 1,
            "source": {"url": f"https://tube.example/{number}"},
        }
        self.jobs[key] = AudioJob.model_validate({"metadata": metadata, "spec": spec})
        self.scheduler.update(key, JobFacts(key[1], self.jobs[key], self._spec), children, self._now)


def _pipeline(phases: list[dict[str, Any]]) -> AudioPipelineSpec:
    obj = {"metadata": {"name": "bench"}, "spec": {"phases": phases}}
    return AudioPipeline.model_validate(obj).spec


def milliseconds(step: Callable[[], None], times: int) -> float:
    """The median of so many runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        step()
        taken.append(1_000 * (time.perf_counter() - began))
    return median(taken)


def main() -> int:
    """Measure, and fail where a steady cycle costs more than the aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="AudioJobs that wait (default: %(default)s)")
    arguments = parser.parse_args()
    simulate = {"name": "work", "task": "Simulate"}
    separate = {"name": "work", "task": "Simulate", "device": "GPU"}
    full = Limits(_RUNNING, gpus=64, gpus_per_node=8, queues=_QUEUES, site_rules=_RULES)
    scarce = Limits(None, gpus=_RUNNING, gpus_strict=True, gpus_per_node=8, queues=_QUEUES, site_rules=_RULES)
    worst = 0.0
    print(f"{arguments.jobs} jobs wait, {_RUNNING} run; milliseconds a cycle")
    print(f"{'they wait for':<16}{'nothing changed':>18}{'one ended, one came':>22}{'all changed':>14}")
    for title, limits, phases in (("a slot", full, [simulate]), ("a GPU", scarce, [separate])):
        load = Load(arguments.jobs, limits, phases)
        still, one = milliseconds(load.cycle, 50), milliseconds(load.one_ends_and_one_comes, 50)
        worst = max(worst, still, one)
        print(f"{title:<16}{still:>18.2f}{one:>22.2f}{milliseconds(load.all_change, 3):>14.1f}")
    print(f"steady: {worst:.1f} ms (aim: at most {_AIM_MILLISECONDS:.0f} ms)")
    return 0 if worst <= _AIM_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
