"""The operator as a process: its exit, its probes, its settings, and what it does not write."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space, make_space
from tests.support.faults.proxy import FaultProxy
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner, running

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_types.contract import PhaseInput

_PORT = re.compile(r"probes and metrics on port (\d+)")
_EXIT_USAGE = 64


def play(_phase: PhaseInput, _pod: Object) -> Object:
    """Every pod starts and works on and on."""
    return running()


@contextmanager
def operating(space: Space, proxy: FaultProxy, log: Path, **settings: str) -> Iterator[OperatorProcess]:
    """An operator of the space with a Lease of its own, ready to decide."""
    kubeconfig = proxy.write_kubeconfig(log.with_suffix(".kubeconfig"))
    settings = {"AUDIOJOB_LEASE__NAME": space.namespace, **settings}
    with OperatorProcess(kubeconfig, [space.namespace], log, **settings) as operator:
        wait_until("the operator to hold its Lease", lambda: "holding Lease" in log.read_text(), seconds=60)
        yield operator


def holder(space: Space) -> str:
    """Who holds the space's Lease; '' for nobody."""
    lease = space.rest.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{space.namespace}")
    return str(lease["spec"].get("holderIdentity") or "")


def ask(log: Path, path: str) -> tuple[int, str]:
    """HTTP status and text of a path of the operator that writes this log."""
    found = _PORT.search(log.read_text())
    assert found is not None, log.read_text()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_sigterm_ends_the_process_in_time_and_gives_the_lease_back(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with operating(space, proxy, log) as operator, PodRunner(space.rest, space.namespace, play):
        space.submit("song")
        space.until("song", lambda status: status.get("state") == "Running", "its start", story=operator.story)
        assert holder(space) == "test"
        operator.send(signal.SIGTERM)
        assert operator.wait(30) == 0, operator.story()  # a pod is given as long
    assert holder(space) == ""
    text = log.read_text()
    assert "Traceback" not in text
    assert "starting it again" not in text
    assert space.job("song")["status"]["state"] == "Running"  # work goes on without an operator


def test_probes_and_metrics_answer(space: Space, proxy: FaultProxy, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with operating(space, proxy, log), PodRunner(space.rest, space.namespace):
        space.submit("later", suspend=True)
        space.until("later", lambda status: status.get("state") == "Suspended", "its state")
        space.submit("song")
        space.finished("song")
        assert ask(log, "/livez") == (200, "ok\n")
        assert ask(log, "/readyz") == (200, "ok, leads\n")
        # The end is counted once its write is answered: a moment after others can see it.
        end = 'audiojob_operator_finished_audiojobs_total{reason="Completed",state="Succeeded"} 1.0'
        wait_until("the end to be counted", lambda: end in ask(log, "/metrics")[1].splitlines(), seconds=60)
        status, text = ask(log, "/metrics")
    assert status == 200
    lines = text.splitlines()
    assert "audiojob_operator_leading 1.0" in lines
    assert 'audiojob_operator_writes_total{resource="jobs",result="ok",verb="create"} 2.0' in lines
    assert f'audiojob_operator_watch_age_seconds{{watch="jobs/{space.namespace}"}}' in text
    place = f'device="CPU",phase="two",pipeline="{space.pipeline}"'
    for line in (
        'audiojob_operator_attempts_total{class="Succeeded",reason=""} 2.0',
        f"audiojob_operator_phase_wait_seconds_count{{{place}}} 1.0",
        f"audiojob_operator_phase_run_seconds_count{{{place}}} 1.0",
        'audiojob_operator_degraded{reason="ApiServerUnreachable"} 0.0',
        f'audiojob_operator_backlog{{device="GPU",job_namespace="{space.namespace}",queue="default"}} 0.0',
        'audiojob_operator_gpus{resource="nvidia.com/gpu",state="wanted"} 0.0',
        'audiojob_operator_attempt_start_seconds_count{device="CPU",stage="handover",task="Simulate"} 2.0',
        'audiojob_operator_unschedulable_pods{device="GPU"} 0.0',
        'audiojob_operator_attempt_start_seconds_count{device="CPU",stage="process",task="Simulate"} 2.0',
        'audiojob_operator_attempt_cpu_seconds_total{device="CPU",task="Simulate"} 0.5',
        'audiojob_operator_attempt_work_seconds_total{device="CPU",task="Simulate"} 1.0',
        'audiojob_operator_attempt_media_seconds_total{device="CPU",task="Simulate"} 120.0',
        'audiojob_operator_attempt_bytes_total{direction="written",task="Simulate"} 128.0',
        'audiojob_operator_attempt_bytes_total{direction="read",task="Simulate"} 0.0',
    ):
        assert line in lines
    # Jobs of other tests' namespaces may be suspended too.
    assert re.search(r'^audiojob_operator_audiojobs\{reason="Suspended",state="Suspended"\} [1-9]', text, re.MULTILINE)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param(
            {"AUDIOJOB_CAPACITY__MAX_RUNNING": "0"}, "AUDIOJOB_CAPACITY__MAX_RUNNING", id="a number too small"
        ),
        pytest.param({"AUDIOJOB_IMAGES__RUNNER": ""}, "AUDIOJOB_IMAGES__RUNNER", id="an empty image"),
        pytest.param({"AUDIOJOB_SWEEP__EVERY": "3"}, "AUDIOJOB_SWEEP__EVERY", id="an unknown name in a group"),
        pytest.param({"AUDIOJOB_LEASE__RETRY_SECONDS": "60"}, "AUDIOJOB_LEASE", id="lease times out of order"),
        pytest.param(
            {"AUDIOJOB_JOB_NAMESPACES": "music"}, 'AUDIOJOB_JOB_NAMESPACES=["music"]', id="a list that is not JSON"
        ),
    ],
)
def test_settings_that_cannot_be_used_end_the_process_at_once(settings: dict[str, str], named: str) -> None:
    images = {f"AUDIOJOB_IMAGES__{family}": family for family in ("RUNNER", "RUNNER_TORCH", "RUNNER_MUSIC")}
    given = {**images, **settings}
    command = [sys.executable, "-m", "audiojob_operator"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == _EXIT_USAGE, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(None, "settings.json: the settings file cannot be read: No such file", id="no file"),
        pytest.param("images: {runner: a}", "settings.json: the settings file is not valid JSON: ", id="no JSON"),
        pytest.param('{"colour": "red"}', "settings.json: colour: there is no such setting", id="an unknown name"),
        pytest.param('{"capacity": {"gpus": "many"}}', "settings.json: capacity.gpus: Input", id="a wrong type"),
    ],
)
def test_a_settings_file_that_cannot_be_used_ends_the_process_at_once(
    tmp_path: Path, content: str | None, named: str
) -> None:
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    log = tmp_path / "log"
    with OperatorProcess(tmp_path / "kubeconfig", ["music"], log, AUDIOJOB_SETTINGS_FILE=str(file)) as operator:
        assert operator.wait(60) == _EXIT_USAGE, operator.story()
    text = log.read_text()
    assert text.startswith("audiojob-operator: ")
    assert named in text
    assert "Traceback" not in text


def test_a_restart_beside_a_running_job_writes_nothing(space: Space, proxy: FaultProxy, tmp_path: Path) -> None:
    with PodRunner(space.rest, space.namespace, play):
        proxy.begin()
        with operating(space, proxy, tmp_path / "first") as operator:
            space.submit("song")
            space.until("song", lambda status: status.get("state") == "Running", "its start", story=operator.story)
            wait_until(
                "its pod to run",
                lambda: [pod["status"]["phase"] for pod in space.pods()] == ["Running"],
                seconds=30,
            )
        assert proxy.record.writes_to(space.namespace), "the proxy sees this operator's writes"
        before = space.job("song")
        proxy.begin()
        with operating(space, proxy, tmp_path / "second", AUDIOJOB_SWEEP__ACTIVE_SECONDS="0.5") as operator:
            # A resync of everything, several times over; the round over the job is counted by the operator itself.
            wait_until("its rounds", lambda: rounds(tmp_path / "second") >= 1, seconds=60)
            time.sleep(2)  # what must not come has no state to wait for
            assert proxy.record.writes_to(space.namespace) == [], operator.story()
        assert space.job("song")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def rounds(log: Path) -> float:
    """How many rounds the operator has made over AudioJobs without a failure."""
    text = ask(log, "/metrics")[1]
    found = re.search(r'reconciles_total\{result="ok"\} ([\d.]+)', text)
    return float(found[1]) if found else 0.0


def test_no_event_is_tried_in_a_namespace_that_is_not_prepared(
    space: Space, controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    elsewhere = make_space(controllers)
    proxy.begin()
    with operating(space, proxy, tmp_path / "log") as operator:
        elsewhere.submit("stray", cancel=True)
        elsewhere.finished("stray", story=operator.story)
        elsewhere.submit("other")
        elsewhere.until("other", lambda status: status.get("state") == "Queued", "a reason", story=operator.story)
    kinds = {(write.method, write.path.rsplit("/", 1)[1]) for write in proxy.record.writes_to(elsewhere.namespace)}
    assert kinds == {("PATCH", "status")}
