"""A phase process that begins before its inputs are there: it loads, waits, and works once it is told them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.pods import JOB_UID, NAMESPACE, PodFolder, Running, eventually, is_alive
from tests.integration.runner.stores import StoreFolder

from audiojob_types.base import format_time
from audiojob_types.constants import INPUTS_FILE
from audiojob_types.contract import ExitCode, Outcome
from audiojob_types.models import UNTRAINED_MODEL

pytestmark = pytest.mark.integration


def begin(pod: PodFolder, seconds: float = 60.0, task: str = "Simulate", **parameters: Any) -> Running:
    """Start the process of a pod whose inputs are not there yet."""
    until = format_time(datetime.now(UTC) + timedelta(seconds=seconds))
    given = {"outputBytes": 100, **parameters} if task == "Simulate" else parameters
    pod.write_phase(task, given, waitUntil=until)
    pod.phase_file.with_name(INPUTS_FILE).write_bytes(b"")
    return pod.start()


def tell(pod: PodFolder, **changed: Any) -> None:
    """What the kubelet shows of the annotation once the operator has patched it: whole, in one step."""
    told = json.loads(pod.phase_file.read_text())
    del told["waitUntil"]
    new = pod.phase_file.with_name("next")
    new.write_text(json.dumps(told | changed), encoding="utf-8")
    new.rename(pod.phase_file.with_name(INPUTS_FILE))


def waits(running: Running) -> bool:
    """Whether its worker is there and it has not ended."""
    return bool(running.descendants())


def test_it_works_with_the_inputs_that_it_is_told_and_says_that_it_has_read_them(folder_pod: PodFolder) -> None:
    running = begin(folder_pod)
    eventually(lambda: waits(running), "the worker loads")
    time.sleep(0.5)  # so that its wait can be told from its start
    tell(folder_pod, inputs=[{"name": "words", "text": "la"}])

    ended = running.wait()

    assert ended.code == ExitCode.OK, ended.stderr
    assert (ended.result.outcome, ended.result.told) == (Outcome.SUCCEEDED, True)
    assert ended.result.usage is not None
    assert (ended.result.usage.start_milliseconds or 0) < ended.seconds * 1_000 - 400, (
        "its wait is no part of its start"
    )


def test_told_before_it_looked_it_does_not_wait(folder_pod: PodFolder) -> None:
    folder_pod.write_phase(parameters={"outputBytes": 100}, waitUntil="2030-01-01T00:00:00Z")
    tell(folder_pod)
    ended = folder_pod.run()
    assert (ended.code, ended.result.told) == (ExitCode.OK, True), ended.stderr


def test_a_failure_after_it_was_told_says_so_too(folder_pod: PodFolder) -> None:
    running = begin(folder_pod, exitCode=75)
    tell(folder_pod)
    ended = running.wait()
    assert (ended.code, ended.result.told) == (75, True)


@pytest.mark.parametrize("signalled", [False, True], ids=["row 37: its time has passed", "it is stopped"])
def test_told_nothing_it_ends_with_143_and_leaves_nothing(folder_pod: PodFolder, signalled: bool) -> None:
    running = begin(folder_pod, seconds=60 if signalled else 1)
    children = eventually(running.descendants, "the worker loads")
    if signalled:
        running.stop()

    ended = running.wait()

    assert ended.code == ExitCode.STOPPED, ended.stderr
    assert (ended.result.reason, ended.result.told) == ("Stopped", None)
    assert "before it was told its inputs" in ended.result.message if signalled else "in time" in ended.result.message
    assert not any(is_alive(child) for child in children)
    assert not list((folder_pod.root / "scratch").iterdir())


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another attempt's": ({"attempt": 2}, "is of other work"),
    "another job's": ({"uid": "ffff0000-0000-4000-8000-00000000000b"}, "is of other work"),
    "with other parameters": ({"parameters": {"outputBytes": 5}}, "is of other work"),
    "not valid": ({"task": 7}, "is not valid"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD.keys())
def test_row_34_a_file_is_refused_that_is(folder_pod: PodFolder, changed: dict[str, Any], message: str) -> None:
    running = begin(folder_pod)
    tell(folder_pod, **changed)
    ended = running.wait()
    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec")
    assert message in ended.result.message
    assert ended.result.told is None, "nothing of it counts"


@pytest.mark.parametrize("there", [True, False], ids=["its network is loaded when it is told", "a missing one is said"])
def test_it_loads_ahead_and_what_it_cannot_load_is_said_once_it_is_told(
    folder_store: StoreFolder, folder_pod: PodFolder, tmp_path: Path, there: bool
) -> None:
    model = UNTRAINED_MODEL if there else "mdx"
    mix = tmp_path / "mix.wav"
    soundfile.write(mix, np.full((20_000, 2), 0.25, dtype=np.float32), 44_100, "PCM_16")
    manifest = folder_store.put_manifest(f"{NAMESPACE}/{JOB_UID}/one/1-a", {"audio": mix.read_bytes()})
    running = begin(folder_pod, task="Separate", model=model)
    eventually(lambda: waits(running), "the worker loads")
    tell(folder_pod, inputs=[{"name": "audio", "manifest": manifest, "output": "audio"}])
    ended = running.wait()
    loaded = f"model {model} was loaded ahead" in ended.stderr
    found = (ended.code, ended.result.reason, ended.result.told, loaded)
    assert found == ((ExitCode.OK, "", True, True) if there else (ExitCode.USAGE, "ModelMissing", True, False))
