"""What the probes tell."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import generate_latest

from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.watching.health import Degradation, DegradedReason, liveness

FRESH, SILENT = 30.0, 300.0


@pytest.mark.parametrize(
    ("ages", "thread_age", "degraded", "named"),
    [
        pytest.param({"jobs/a": FRESH, "nodes": FRESH}, 5.0, False, [], id="all is well"),
        pytest.param({}, 5.0, False, [], id="nothing is watched yet"),
        pytest.param({"jobs/a": 239.0, "nodes": FRESH}, 5.0, False, [], id="a quiet watch may take its time"),
        pytest.param({"jobs/a": SILENT, "nodes": FRESH}, 5.0, False, ["jobs/a"], id="one watch is silent: a fault"),
        pytest.param(
            {"jobs/a": SILENT, "nodes": FRESH, "pods/a": SILENT},
            5.0,
            False,
            ["jobs/a", "pods/a"],
            id="each silent watch is named",
        ),
        pytest.param(
            {"jobs/a": SILENT, "nodes": SILENT}, 5.0, False, [], id="all are silent: the API server is away, not we"
        ),
        pytest.param(
            {"jobs/a": SILENT, "nodes": FRESH}, 5.0, True, [], id="a missing right silences a watch: no restart helps"
        ),
        pytest.param({"jobs/a": FRESH}, 61.0, False, ["kopf"], id="kopf's thread stands still: a fault"),
        pytest.param(
            {"jobs/a": SILENT, "nodes": SILENT},
            61.0,
            False,
            ["kopf"],
            id="kopf's thread stands still while the API server is away: a fault all the same",
        ),
        pytest.param({"jobs/a": FRESH}, 61.0, True, ["kopf"], id="kopf's thread stands still while degraded: a fault"),
        pytest.param({"jobs/a": SILENT, "nodes": FRESH}, 61.0, False, ["kopf", "jobs/a"], id="both are told"),
    ],
)
def test_only_what_a_restart_mends_fails_the_liveness_probe(
    ages: dict[str, float], thread_age: float, degraded: bool, named: list[str]
) -> None:
    problem = liveness(ages, thread_age, degraded=degraded)
    assert bool(problem) is bool(named)
    for name in named:
        assert name in problem


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, reason: DegradedReason) -> float:
    found = metrics.registry.get_sample_value("audiojob_operator_degraded", {"reason": reason})
    assert found is not None
    return found


def test_every_reason_has_a_zero_from_the_start(metrics: Metrics) -> None:
    Degradation(metrics)
    assert {value(metrics, reason) for reason in DegradedReason} == {0.0}


def test_a_change_is_one_log_line_and_seen_in_the_metric(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    degradation = Degradation(metrics)
    with caplog.at_level(logging.WARNING):
        for port in (1, 2, 3):
            degradation.report(DegradedReason.API_SERVER_UNREACHABLE, "it does not answer", detail=f"port {port}")
        assert len(caplog.records) == 1
        assert "ApiServerUnreachable: it does not answer (port 1)" in caplog.text
        assert value(metrics, DegradedReason.API_SERVER_UNREACHABLE) == 1.0
        assert degradation.describe() == "ApiServerUnreachable: it does not answer"
        assert degradation.clear(DegradedReason.API_SERVER_UNREACHABLE)
        assert not degradation.clear(DegradedReason.API_SERVER_UNREACHABLE), "it has ended before"
        assert len(caplog.records) == 2
    assert value(metrics, DegradedReason.API_SERVER_UNREACHABLE) == 0.0
    assert degradation.describe() == ""


def test_other_missing_rights_are_a_change(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    degradation = Degradation(metrics)
    degradation.report(DegradedReason.MISSING_PERMISSIONS, "create jobs")
    degradation.report(DegradedReason.MISSING_PERMISSIONS, "create jobs; get pods")
    assert len(caplog.records) == 2


def test_the_end_of_one_reason_leaves_the_other(metrics: Metrics) -> None:
    degradation = Degradation(metrics)
    degradation.report(DegradedReason.LEASE_NOT_RENEWED, "not in time")
    degradation.report(DegradedReason.API_SERVER_UNREACHABLE, "away")
    degradation.clear(DegradedReason.API_SERVER_UNREACHABLE)
    assert degradation.describe() == "LeaseNotRenewed: not in time"
    assert "audiojob_operator_degraded" in generate_latest(metrics.registry).decode()
