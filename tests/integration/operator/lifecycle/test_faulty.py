"""A job on which the operator fails by a fault of its own: it does not hold its slot, and a mended operator goes on."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.integration.operator.conftest import Object, Space
from tests.integration.operator.process.test_process import ask
from tests.support.faults.proxy import FaultProxy
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner, running, succeed

from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_types.contract import PhaseInput

ODD = "tests.support.odd_operator"
GAUGE = "audiojob_operator_parked_audiojobs"


def of_job(space: Space, name: str) -> list[Object]:
    return [job for job in space.batch_jobs() if job["metadata"]["ownerReferences"][0]["name"] == name]


def test_the_next_job_runs_and_a_mended_operator_goes_on_with_it(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    mended = False

    def play(phase: PhaseInput, pod: Object) -> Object:
        return succeed(phase, pod) if mended or phase.job == "next" else running()

    numbers = itertools.count()

    def parked() -> bool:
        """Each change is one more try, without the backoff's wait."""
        if f"{GAUGE} 1.0" in ask(tmp_path / "odd.log", "/metrics")[1]:
            return not of_job(space, "odd")
        change: Object = {"metadata": {"annotations": {"tries": str(next(numbers))}}}
        space.rest.request("PATCH", f"{space.jobs_path}/odd", change, content_type=MERGE_PATCH)
        return False

    proxy.begin()
    kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
    settings = {"AUDIOJOB_LEASE__NAME": space.namespace, "AUDIOJOB_CAPACITY__MAX_RUNNING": "1"}
    space.submit("odd")
    with PodRunner(space.rest, space.namespace, play):
        odd = OperatorProcess(kubeconfig, [space.namespace], tmp_path / "odd.log", ODD, TEST_FAULT_IN="odd", **settings)
        with odd:
            wait_until("its first Job", lambda: bool(of_job(space, "odd")), seconds=60)
            wait_until("it to be parked, and its Job without a node to go", parked, seconds=60)
            space.submit("next")
            assert space.finished("next", story=odd.story)["status"]["state"] == "Succeeded"
            what = "KeyError in audiojob_operator/reconciling/reconcile.py, line "
            odd_job = space.until("odd", lambda status: what in status["message"], "the fault told", story=odd.story)
            assert odd_job["status"]["state"] == "Queued"
            (told,) = [event for event in space.events() if event["reason"] == "OperatorFault"]
            assert told["type"] == "Warning"
        mended = True
        with OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **settings) as sound:
            status = space.finished("odd", story=sound.story)["status"]
            assert status["state"] == "Succeeded"
            assert [phase.get("failures", 0) for phase in status["phases"]] == [0, 0]
            assert f"{GAUGE} 0.0" in ask(tmp_path / "log", "/metrics")[1]
