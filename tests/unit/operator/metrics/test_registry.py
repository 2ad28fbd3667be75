"""The operator's metrics: described, counted as recorded, there from the start where alerts use them, and bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from prometheus_client import generate_latest

from audiojob_dev.paths import repository
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS, EVENTS, JOBS
from audiojob_operator.deciding.attempts.believed import Usage
from audiojob_operator.deciding.attempts.used import AttemptUsed, Stage
from audiojob_operator.deciding.transitions import (
    OTHER,
    AttemptClass,
    AttemptEnded,
    FellBack,
    JobEnded,
    PhaseEnded,
    PhaseReused,
    PhaseStarted,
    Transition,
)
from audiojob_operator.metrics import known, table
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.errors import ReconcileError
from audiojob_operator.records.admission import Backlog, Waiting
from audiojob_operator.records.workers import PoolNumbers
from audiojob_operator.watching.health import Degradation
from audiojob_types.constants import RELEASE
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES, State
from audiojob_types.tasks import Task

REASONS = (*Reason, OTHER)
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def lines(metrics: Metrics) -> list[str]:
    return [line for line in generate_latest(metrics.registry).decode().splitlines() if not line.startswith("#")]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_every_metric_is_described_with_its_type(metrics: Metrics) -> None:
    exposed = {(family.name, family.type, family.documentation) for family in metrics.registry.collect()}
    described = {(each.name.removesuffix("_total"), each.kind, each.text) for each in metrics.descriptions}
    assert described == exposed


def test_what_a_write_has_recorded_is_counted(metrics: Metrics) -> None:
    metrics.record(
        "separate",
        [
            PhaseStarted("stems", "GPU", 12.0),
            PhaseEnded("stems", "CPU", 90.0),
            AttemptEnded("stems", AttemptClass.SUCCEEDED, "", 1),
            AttemptEnded("stems", AttemptClass.DISRUPTED, "Disrupted", 2),
            FellBack("stems", "GpuFailedBefore"),
            PhaseReused("stems"),
            JobEnded("Succeeded", "Completed"),
        ],
    )
    shown = lines(metrics)
    place = 'phase="stems",pipeline="separate"'
    for line in (
        f'audiojob_operator_phase_wait_seconds_bucket{{device="GPU",le="15.0",{place}}} 1.0',
        f'audiojob_operator_phase_wait_seconds_bucket{{device="GPU",le="5.0",{place}}} 0.0',
        f'audiojob_operator_phase_run_seconds_sum{{device="CPU",{place}}} 90.0',
        'audiojob_operator_attempts_total{class="Succeeded",reason=""} 1.0',
        'audiojob_operator_attempts_total{class="Disrupted",reason="Disrupted"} 1.0',
        "audiojob_operator_disruptions_total 1.0",
        'audiojob_operator_fallbacks_total{reason="GpuFailedBefore"} 1.0',
        f"audiojob_operator_reused_phases_total{{{place}}} 1.0",
        'audiojob_operator_finished_audiojobs_total{reason="Completed",state="Succeeded"} 1.0',
    ):
        assert line in shown


USED = AttemptUsed(
    "Separate",
    Device.GPU,
    {Stage.PROCESS: 2.5},
    told=Usage(150.0, 240.0, 80.5, 2.5, 3.0 * 2**30, 1_000.0, 2_000.0),
)


def test_what_an_attempt_took_is_counted(metrics: Metrics) -> None:
    metrics.attempt_used(USED)
    metrics.attempt_used(replace(USED, told=Usage()))
    shown = lines(metrics)
    place = 'device="GPU",task="Separate"'
    for line in (
        f"audiojob_operator_attempt_cpu_seconds_total{{{place}}} 150.0",
        f"audiojob_operator_attempt_media_seconds_total{{{place}}} 240.0",
        f"audiojob_operator_attempt_work_seconds_total{{{place}}} 80.5",
        'audiojob_operator_attempt_bytes_total{direction="read",task="Separate"} 1000.0',
        'audiojob_operator_attempt_bytes_total{direction="written",task="Separate"} 2000.0',
        'audiojob_operator_attempt_gpu_memory_bytes_count{task="Separate"} 1.0',
        'audiojob_operator_attempt_start_seconds_sum{device="GPU",stage="process",task="Separate"} 5.0',
    ):
        assert line in shown


UNKNOWN: dict[str, tuple[Transition, str]] = {
    "an attempt, by its class": (
        AttemptEnded("one", AttemptClass.MEMORY, "NotMedia", 1),
        'audiojob_operator_attempts_total{class="Memory",reason="Other"} 1.0',
    ),
    "a job, by its state": (
        JobEnded("Cancelled", "NotMedia"),
        'audiojob_operator_finished_audiojobs_total{reason="Other",state="Cancelled"} 1.0',
    ),
}


@pytest.mark.parametrize(("transition", "series"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_reason_that_does_not_belong_there_is_other(metrics: Metrics, transition: Transition, series: str) -> None:
    metrics.record("separate", [transition])
    assert series in lines(metrics)
    assert not [line for line in lines(metrics) if "NotMedia" in line and not line.endswith(" 0.0")]


def test_a_state_that_no_job_is_in_any_more_is_gone(metrics: Metrics) -> None:
    metrics.snapshot.show(table.AUDIOJOBS, [(("Queued", "QueueFull"), 3)])
    assert 'audiojob_operator_audiojobs{reason="QueueFull",state="Queued"} 3.0' in lines(metrics)
    metrics.snapshot.show(table.AUDIOJOBS, [(("Running", "Running"), 1)])
    shown = lines(metrics)
    assert not [line for line in shown if "QueueFull" in line]
    assert 'audiojob_operator_audiojobs{reason="Running",state="Running"} 1.0' in shown


# ---------------------------------------------------------------- the first event


FROM_THE_START = {
    "a write that was refused": 'audiojob_operator_refused_writes_total{resource="audiojobs"}',
    "a phase that found no GPU": 'audiojob_operator_fallbacks_total{reason="NoGpuOffered"}',
    "a phase whose wait for a GPU ended": 'audiojob_operator_fallbacks_total{reason="GpuWaitExpired"}',
    "a job that failed": 'audiojob_operator_finished_audiojobs_total{reason="DiskFull",state="Failed"}',
    "a job that never began": 'audiojob_operator_finished_audiojobs_total{reason="QueueTimeout",state="Failed"}',
    "a job that nobody can explain": 'audiojob_operator_finished_audiojobs_total{reason="Other",state="Failed"}',
    "an attempt out of memory": 'audiojob_operator_attempts_total{class="Memory",reason="OutOfMemory"}',
    "an attempt that is tried again": 'audiojob_operator_attempts_total{class="Retry",reason="TemporaryFailure"}',
    "an attempt whose GPU failed": 'audiojob_operator_attempts_total{class="Device",reason="GpuError"}',
    "an attempt lost with its node": 'audiojob_operator_attempts_total{class="Disrupted",reason="PodLost"}',
    "an attempt that a site refused": 'audiojob_operator_attempts_total{class="CoolDown",reason="RateLimited"}',
    "CPU time": 'audiojob_operator_attempt_cpu_seconds_total{device="GPU",task="Separate"}',
    "time that sound lasts": 'audiojob_operator_attempt_media_seconds_total{device="CPU",task="Normalize"}',
    "time of work": 'audiojob_operator_attempt_work_seconds_total{device="CPU",task="Download"}',
    "bytes written": 'audiojob_operator_attempt_bytes_total{direction="written",task="Publish"}',
    "a fault of ours": 'audiojob_operator_reconciles_total{result="fault"}',
    "a throttled write": 'audiojob_operator_writes_total{resource="audiojobs",result="429",verb="patch"}',
    "a missed event": "audiojob_operator_missed_events_total",
    "a phase that no worker was free for": 'audiojob_operator_own_jobs_total{reason="WaitExpired"}',
    "a restart of kopf": "audiojob_operator_kopf_restarts_total",
}


@pytest.mark.parametrize("series", FROM_THE_START.values(), ids=FROM_THE_START)
def test_a_counter_that_alerts_use_is_there_at_0_before_its_first(metrics: Metrics, series: str) -> None:
    assert f"{series} 0.0" in lines(metrics)


def test_every_result_of_a_reconcile_has_its_counter_from_the_start() -> None:
    kinds: list[type[ReconcileError]] = [ReconcileError, *ReconcileError.__subclasses__()]
    assert {(kind.result,) for kind in kinds} <= set(known.RECONCILES)


def test_the_release_is_shown(metrics: Metrics) -> None:
    assert [line for line in lines(metrics) if f'version="{RELEASE}"' in line and line.endswith(" 1.0")]


# ---------------------------------------------------------------- what waits


def waiting_in(queue: str, device: Device = Device.CPU, count: int = 3, seconds: int = 60) -> Backlog:
    return Backlog({(("music", queue), device): Waiting(count, NOW - timedelta(seconds=seconds))})


def backlog_of(metrics: Metrics) -> dict[str, float]:
    """Queues that are shown with something in them, and how many jobs that is; with the seconds behind a slash."""
    shown = {}
    for line in lines(metrics):
        if found := re.fullmatch(r'audiojob_operator_(backlog|oldest_wait_seconds)\{(.*),queue="(.*)"\} (.*)', line):
            kind, rest, queue, value = found.groups()
            if float(value):
                shown[f"{queue} {rest.split(chr(34))[1]}{'/s' if kind != 'backlog' else ''}"] = float(value)
    return shown


def test_each_known_queue_has_its_zeros(metrics: Metrics) -> None:
    metrics.show_backlog({("music", "default"), ("music", "night")}, Backlog(), NOW)
    shown = [line for line in lines(metrics) if line.startswith("audiojob_operator_backlog")]
    assert len(shown) == 4
    assert 'audiojob_operator_backlog{device="GPU",job_namespace="music",queue="night"} 0.0' in shown
    assert backlog_of(metrics) == {}


def test_jobs_that_wait_are_counted_in_their_queue(metrics: Metrics) -> None:
    metrics.show_backlog({("music", "default")}, waiting_in("default", Device.GPU), NOW)
    assert backlog_of(metrics) == {"default GPU": 3, "default GPU/s": 60}


def test_a_queue_that_only_a_job_names_has_no_series_of_its_own(metrics: Metrics) -> None:
    metrics.show_backlog({("music", "default")}, waiting_in("a user's word"), NOW)
    assert backlog_of(metrics) == {"other CPU": 3, "other CPU/s": 60}


def test_a_job_created_by_a_clock_that_is_ahead_waits_no_time(metrics: Metrics) -> None:
    metrics.show_backlog({("music", "default")}, waiting_in("default", seconds=-5), NOW)
    assert backlog_of(metrics) == {"default CPU": 3}


def test_queues_beyond_the_two_hundredth_share_one_label_until_others_go(metrics: Metrics) -> None:
    queues = {("music", f"queue-{number:03}") for number in range(210)}
    metrics.show_backlog(queues, waiting_in("queue-205"), NOW)
    assert backlog_of(metrics) == {"other CPU": 3, "other CPU/s": 60}
    assert len([line for line in lines(metrics) if line.startswith("audiojob_operator_backlog")]) == 402
    metrics.show_backlog(queues - {("music", "queue-000")}, waiting_in("queue-200"), NOW)
    assert backlog_of(metrics) == {"queue-200 CPU": 3, "queue-200 CPU/s": 60}


def gpus_of(metrics: Metrics) -> dict[str, list[float]]:
    """By resource how many are offered, held and wanted."""
    found: dict[str, dict[str, float]] = {}
    for line in lines(metrics):
        if match := re.fullmatch(r'audiojob_operator_gpus\{resource="(.+)",state="(.+)"\} (.+)', line):
            found.setdefault(match[1], {})[match[2]] = float(match[3])
    return {resource: [each[state] for state in ("offered", "held", "wanted")] for resource, each in found.items()}


def test_gpus_are_counted_by_the_name_that_nodes_give_them(metrics: Metrics) -> None:
    metrics.show_gpus("nvidia.com/gpu", offered={}, held={}, wanted={})
    assert gpus_of(metrics) == {"nvidia.com/gpu": [0, 0, 0]}
    metrics.show_gpus(
        "nvidia.com/gpu", offered={"nvidia.com/mig-1g.10gb": 7}, held={"amd.com/gpu": 1}, wanted={"nvidia.com/gpu": 2}
    )
    assert gpus_of(metrics) == {
        "amd.com/gpu": [0, 1, 0], "nvidia.com/gpu": [0, 0, 2], "nvidia.com/mig-1g.10gb": [7, 0, 0]
    }  # fmt: skip
    many = {f"a.example/gpu-{number:02}": 1 for number in range(40)}
    metrics.show_gpus("nvidia.com/gpu", offered={**many, "nvidia.com/gpu": 3}, held={}, wanted={})
    found = gpus_of(metrics)
    assert (len(found), found["nvidia.com/gpu"], found["other"]) == (17, [3, 0, 0], [25, 0, 0])


def test_who_does_not_lead_shows_none_of_it(metrics: Metrics) -> None:
    metrics.show_backlog({("music", "default")}, waiting_in("default"), NOW)
    metrics.show_gpus("nvidia.com/gpu", offered={"nvidia.com/gpu": 4}, held={}, wanted={"nvidia.com/gpu": 2})
    metrics.show_unschedulable({Device.GPU: 1})
    assert 'audiojob_operator_gpus{resource="nvidia.com/gpu",state="wanted"} 2.0' in lines(metrics)
    assert 'audiojob_operator_unschedulable_pods{device="GPU"} 1.0' in lines(metrics)
    metrics.hide_what_the_leader_shows()
    leaders = tuple(each.name for each in metrics.of_the_leader)
    assert [line for line in lines(metrics) if line.startswith(leaders)] == []


# ---------------------------------------------------------------- how many series


def built_in() -> Iterator[tuple[str, str, str]]:
    """Pipeline, phase and device of everything that the chart's own pipelines can run."""
    for path in (repository() / "charts" / "audiojob" / "templates" / "pipelines").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for phase in re.split(r"^    - name: ", text, flags=re.MULTILINE)[1:]:
            yield path.stem, phase.split("\n")[0], "CPU"
            if "device:" in phase:
                yield path.stem, phase.split("\n")[0], "GPU"


def everything_of(phase: str, device: str) -> list[Transition]:
    return [PhaseStarted(phase, device, 1.0), PhaseEnded(phase, device, 1.0), PhaseReused(phase)]


def measured(metrics: Metrics, namespaces: int, queues: int, pools: int, reasons: int = len(REASONS)) -> None:
    """The gauges, as a scrape finds them."""
    Degradation(metrics)
    unfinished = [state for state in State if state not in FINISHED_STATES]
    metrics.snapshot.show(table.AUDIOJOBS, [(each, 1) for each in product(unfinished, REASONS[:reasons])])
    metrics.show_backlog({("music", f"queue-{number}") for number in range(queues)}, waiting_in("elsewhere"), NOW)
    kinds = {f"nvidia.com/mig-{number}g": 1 for number in range(99)}
    metrics.show_gpus("nvidia.com/gpu", offered=kinds, held=kinds, wanted=kinds)
    metrics.show_unschedulable({})
    pool = PoolNumbers(0, 1, 2, desired=3, most=4, waiting=5)
    metrics.pools.show({("music", f"pool-{number}"): pool for number in range(pools)}, NOW)
    for number in range(namespaces):
        metrics.orphans.labels(f"namespace-{number}").set(0)
        for kind in ("jobs", "pods", "controllerrevisions", "configmaps"):
            metrics.watch_age.labels(f"{kind}/namespace-{number}").set(1)


def test_the_built_in_pipelines_make_at_most_2_000_series(metrics: Metrics) -> None:
    places = list(built_in())
    assert ("separate", "separate", "GPU") in places
    for pipeline, phase, device in places:
        metrics.record(pipeline, everything_of(phase, device))
    measured(metrics, namespaces=5, queues=20, pools=10, reasons=12)
    assert len(lines(metrics)) <= 2_000


def test_whatever_happens_there_are_at_most_10_000_series(metrics: Metrics) -> None:
    for number, device in product(range(1_000), Device):
        metrics.record(f"pipeline-{number % 500}", everything_of(f"phase-{number}", device))
    metrics.record("any", [AttemptEnded("any", kind, reason, 1) for kind, reason in product(AttemptClass, REASONS)])
    metrics.record("any", [JobEnded(state, reason) for state, reason in product(FINISHED_STATES, REASONS)])
    metrics.record("any", [FellBack("any", reason) for reason in REASONS])
    for task, device in product(Task, Device):
        if device is Device.CPU or task.descriptor.uses_gpu:
            metrics.attempt_used(AttemptUsed(task, device, dict.fromkeys(Stage, 1.0), 1.0, 0.5, USED.told))
    for reason in REASONS:
        metrics.events.labels(reason).inc()
    statuses = ("ok", "transport", *map(str, (400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 502, 503, 504)))
    written = (CONTROLLERREVISIONS, JOBS, EVENTS, AUDIOJOBS)
    for verb, resource, result in product(("create", "patch", "delete"), written, statuses):
        metrics.writes.labels(verb, resource.plural, result).inc()
    measured(metrics, namespaces=50, queues=10_000, pools=1_000)
    assert len(lines(metrics)) <= 10_000


def test_pairs_of_pipeline_and_phase_beyond_the_hundredth_share_one_label(metrics: Metrics) -> None:
    for number in range(110):
        metrics.record(f"pipeline-{number % 55}", [PhaseStarted(f"phase-{number}", "CPU", 1.0)])
    metrics.record("pipeline-3", [PhaseStarted("phase-3", "CPU", 1.0)])
    counts = [line for line in lines(metrics) if line.startswith("audiojob_operator_phase_wait_seconds_count")]
    assert len(counts) == 101
    count = "audiojob_operator_phase_wait_seconds_count"
    assert f'{count}{{device="CPU",phase="other",pipeline="other"}} 10.0' in counts
    assert f'{count}{{device="CPU",phase="phase-3",pipeline="pipeline-3"}} 2.0' in counts
