"""The operator's metrics: bounded, described, and what the page about them says."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from audiojob_dev.paths import repository
from audiojob_operator.deciding.transitions import (
    AttemptClass,
    AttemptEnded,
    FellBack,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
)
from audiojob_operator.metrics import Metrics
from audiojob_operator.metrics_doc import metrics_page


def lines(metrics: Metrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_the_page_is_what_the_registry_holds() -> None:
    page = repository() / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_page(), f"python -m audiojob_operator.metrics_doc {page}"


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
            AttemptEnded("stems", AttemptClass.SUCCEEDED, ""),
            AttemptEnded("stems", AttemptClass.DISRUPTED, "Disrupted"),
            FellBack("stems", "GpuFailedBefore"),
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
        'audiojob_operator_finished_audiojobs_total{reason="Completed",state="Succeeded"} 1.0',
    ):
        assert line in shown


def test_pipelines_beyond_the_fiftieth_share_one_label(metrics: Metrics) -> None:
    for number in range(60):
        metrics.record(f"pipeline-{number}", [PhaseStarted(f"phase-{number}", "CPU", 1.0)])
    metrics.record("pipeline-3", [PhaseStarted("phase-3", "CPU", 1.0)])
    counts = [line for line in lines(metrics) if line.startswith("audiojob_operator_phase_wait_seconds_count")]
    assert len(counts) == 51
    assert 'audiojob_operator_phase_wait_seconds_count{device="CPU",phase="other",pipeline="other"} 10.0' in counts
    assert (
        'audiojob_operator_phase_wait_seconds_count{device="CPU",phase="phase-3",pipeline="pipeline-3"} 2.0' in counts
    )


def test_a_state_that_no_job_is_in_any_more_is_gone(metrics: Metrics) -> None:
    metrics.depth.counts = {("Queued", "QueueFull"): 3}
    assert 'audiojob_operator_audiojobs{reason="QueueFull",state="Queued"} 3.0' in lines(metrics)
    metrics.depth.counts = {("Running", "Running"): 1}
    shown = lines(metrics)
    assert not [line for line in shown if "QueueFull" in line]
    assert 'audiojob_operator_audiojobs{reason="Running",state="Running"} 1.0' in shown
