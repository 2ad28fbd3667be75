"""When idle workers give way: to a pod that has waited for a while, and that what they hold would help."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NOW

from audiojob_operator.deciding.children.scheduler_message import Shortage, shortage
from audiojob_operator.deciding.pools.yielding import YIELD_GRACE_SECONDS, Lack, Yielding, lack_of, yielding
from audiojob_types.base import format_time

GPU = "nvidia.com/gpu"
LONG_AGO = NOW - timedelta(minutes=1)
GRACE = timedelta(seconds=YIELD_GRACE_SECONDS)
PREEMPTION = " preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."


def pod(message: str = "0/1 nodes are available: 1 Insufficient cpu.", **condition: Any) -> dict[str, Any]:
    since = {"lastTransitionTime": format_time(LONG_AGO), "reason": "Unschedulable", "message": message}
    return {
        "metadata": {"creationTimestamp": format_time(LONG_AGO - timedelta(minutes=1))},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", **since, **condition}]},
    }


def gives_way(message: str, gpu: str | None = None) -> bool:
    lack = lack_of(pod(message))
    assert lack is not None
    return yielding([lack], gpu, NOW).now


@pytest.mark.parametrize(
    ("reasons", "on_cpu", "on_gpu"),
    [
        pytest.param("0/1 nodes are available: 1 Insufficient cpu.", True, True, id="it asks for CPU"),
        pytest.param("0/1 nodes are available: 1 Insufficient memory." + PREEMPTION, True, True, id="for memory"),
        pytest.param("0/1 nodes are available: 1 Too many pods.", True, True, id="for a place"),
        pytest.param(f"0/1 nodes are available: 1 Insufficient {GPU}.", False, True, id="for a GPU"),
        pytest.param("0/1 nodes are available: 1 Insufficient amd.com/gpu.", False, False, id="for another kind"),
        pytest.param(
            f"0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient {GPU}.",
            False,
            True,
            id="CPU alone would not do: the node has no GPU left either",
        ),
        pytest.param(
            f"0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient {GPU}.",
            True,
            True,
            id="one node lacks a GPU, the other CPU",
        ),
        pytest.param(
            "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) had untolerated taint {dedicated: a, b}.",
            True,
            True,
            id="one node of four lacks CPU",
        ),
        pytest.param(
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector." + PREEMPTION,
            False,
            False,
            id="it may run nowhere",
        ),
        pytest.param(
            "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.", False, False, id="its volume"
        ),
        pytest.param("all nodes are unavailable: 1 gang not ready", True, True, id="another scheduler's words"),
    ],
)
def test_idle_workers_give_way_to_what_they_would_help(reasons: str, on_cpu: bool, on_gpu: bool) -> None:
    assert (gives_way(reasons), gives_way(reasons, GPU)) == (on_cpu, on_gpu)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        pytest.param([], Yielding(), id="nobody waits"),
        pytest.param([NOW], Yielding(at=NOW + GRACE), id="one has just been refused: look again"),
        pytest.param([NOW - GRACE], Yielding(now=True), id="one has waited for as long"),
        pytest.param([NOW, NOW - GRACE / 2], Yielding(at=NOW + GRACE / 2), id="the first of two counts"),
        pytest.param([NOW, LONG_AGO], Yielding(now=True), id="one of two has waited for long"),
    ],
)
def test_they_wait_for_a_while(since: list[datetime], expected: Yielding) -> None:
    assert yielding(map(Lack, since), None, NOW) == expected
    helpless = [Lack(each, Shortage(1, barred=1)) for each in since]
    assert yielding(helpless, None, NOW) == Yielding(), "for nobody whom it would not help"


@pytest.mark.parametrize(
    ("condition", "since"),
    [
        pytest.param({}, LONG_AGO, id="since the scheduler said so"),
        pytest.param({"lastTransitionTime": None}, LONG_AGO - timedelta(minutes=1), id="else since it was made"),
        pytest.param({"status": "True"}, None, id="it has a node"),
        pytest.param({"reason": "SchedulingGated"}, None, id="nobody has looked for a node"),
        pytest.param({"reason": "SchedulerError"}, None, id="the scheduler has a fault"),
    ],
)
def test_since_when_a_pod_waits_for_a_node(condition: dict[str, Any], since: datetime | None) -> None:
    found = lack_of(pod(**condition))
    assert (found.since if found is not None else None) == since


def test_words_that_are_no_numbers_tell_nothing() -> None:
    assert shortage("0/2 nodes are available: Insufficient everything.") is None
    assert shortage("") is None
