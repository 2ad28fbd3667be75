"""Pools of workers in metrics: shown while they exist, counted from 0, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from audiojob_operator.deciding.transitions import AttemptClass, AttemptEnded
from audiojob_operator.metrics.pools import MAX_POOLS
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.records.workers import OwnJob, PoolNumbers, WhyOwnJob

NOW = datetime(2026, 11, 30, tzinfo=UTC)
KEY = ("music", "gpu")
PLACE = 'job_namespace="music",pool="gpu"'
NUMBERS = PoolNumbers(1, 2, 3, desired=7, most=8, waiting=5, waits_since=NOW - timedelta(seconds=90))
ENDED = AttemptEnded("stems", AttemptClass.SUCCEEDED, "", 1, worker=True)


def lines(metrics: Metrics) -> list[str]:
    return [
        line
        for line in generate_latest(metrics.registry).decode().splitlines()
        if "_pool_" in line or "_own_jobs_" in line
    ]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_pool_is_shown_while_it_exists_and_by_the_leader_alone(metrics: Metrics) -> None:
    metrics.pools.show({KEY: NUMBERS}, NOW)
    expected = {
        f"audiojob_operator_pool_waiting_phases{{{PLACE}}} 5.0",
        f"audiojob_operator_pool_oldest_wait_seconds{{{PLACE}}} 90.0",
        f'audiojob_operator_pool_workers{{{PLACE},state="starting"}} 1.0',
        f'audiojob_operator_pool_workers{{{PLACE},state="idle"}} 2.0',
        f'audiojob_operator_pool_workers{{{PLACE},state="busy"}} 3.0',
        f"audiojob_operator_pool_desired_workers{{{PLACE}}} 7.0",
        f"audiojob_operator_pool_max_workers{{{PLACE}}} 8.0",
    }
    assert {line for line in lines(metrics) if not line.startswith("#") and "_total" not in line} == expected
    metrics.hide_what_the_leader_shows()
    assert not expected & set(lines(metrics))


def test_what_workers_did_and_what_they_did_not_is_counted_from_0(metrics: Metrics) -> None:
    metrics.pools.show({KEY: NUMBERS}, NOW)
    done = f"audiojob_operator_pool_phases_total{{{PLACE}}}"
    own = 'audiojob_operator_own_jobs_total{reason="WaitExpired"}'
    assert {f"{done} 0.0", f"{own} 0.0"} <= set(lines(metrics))
    failed = AttemptEnded("stems", AttemptClass.RETRY, "GpuError", 1, worker=True)
    in_its_job = AttemptEnded("stems", AttemptClass.SUCCEEDED, "", 2)
    of_no_pool = AttemptEnded("publish", AttemptClass.SUCCEEDED, "", 1, worker=True)
    metrics.pools.record("music", {"stems": "gpu"}, [ENDED, failed, in_its_job, of_no_pool])
    metrics.pools.own_jobs([OwnJob("stems", "gpu", WhyOwnJob.WAIT_EXPIRED)])
    assert {f"{done} 1.0", f"{own} 1.0"} <= set(lines(metrics))


def test_pools_beyond_the_thirtieth_share_one_label_and_their_longest_wait(metrics: Metrics) -> None:
    pools = {("music", f"pool-{number:03}"): NUMBERS for number in range(MAX_POOLS + 2)}
    metrics.pools.show(pools, NOW)
    other = 'job_namespace="other",pool="other"'
    assert f"audiojob_operator_pool_waiting_phases{{{other}}} 10.0" in lines(metrics)
    assert f"audiojob_operator_pool_oldest_wait_seconds{{{other}}} 90.0" in lines(metrics)
    metrics.pools.show({KEY: NUMBERS}, NOW)
    assert f"audiojob_operator_pool_waiting_phases{{{PLACE}}} 5.0" in lines(metrics)


def test_a_clock_that_went_back_makes_no_negative_wait(metrics: Metrics) -> None:
    metrics.pools.show({KEY: NUMBERS}, NOW - timedelta(hours=1))
    assert f"audiojob_operator_pool_oldest_wait_seconds{{{PLACE}}} 0.0" in lines(metrics)
