"""What `work` has loaded, its phases need not load; what they need besides, they load themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.integration.runner.worker.conftest import WorkerPod

from audiojob_types.models import UNTRAINED_MODEL

pytestmark = pytest.mark.integration


def test_networks_are_loaded_once_and_others_by_their_phase(worker: WorkerPod) -> None:
    mix = Path(worker.pod.store["root"]) / "demo/uploads/mix.wav"
    mix.parent.mkdir(parents=True)
    soundfile.write(mix, np.full((20_000, 2), 0.25, dtype=np.float32), 44_100, "PCM_16")
    jobs = [
        worker.phase(1, task="Separate", model=UNTRAINED_MODEL),
        worker.phase(2, task="Separate", model=UNTRAINED_MODEL, seed=7),
        worker.phase(3, task="Separate", model="mdx"),
        worker.phase(4, task="Transcribe", allowEmpty=True, instrument="Piano"),
    ]
    for job in jobs:
        job["inputs"] = [{"name": "audio", "key": "demo/uploads/mix.wav"}]
    worker.terms |= {"tasks": ["Separate", "Transcribe"], "preload": [UNTRAINED_MODEL, "mdx", "nobody"]}
    running = worker.start()
    for number in range(3):
        worker.tell(jobs[number], jobs[number + 1])
        worker.ends(number + 1)

    assert worker.ends(4) == [("song-1", 0), ("song-2", 0), ("song-3", 64), ("song-4", 0)], running.log.read_text()
    log, loading = running.log.read_text(), worker.work.log.read_text()
    assert log.count(f"model {UNTRAINED_MODEL} was loaded ahead") == 1, "with another seed it is another network"
    assert worker.server.ends[2][2]["result"]["reason"] == "ModelMissing"
    assert ("Separate: 1 of 2 prepared" in loading, "Transcribe: 1 of 1 prepared" in loading) == (True, True), loading
    assert "not prepared for {'model': 'nobody'}" in loading
    usage = worker.server.ends[0][2]["result"]["usage"]
    assert usage["cpu"] > 300, "the work was done elsewhere, and is counted"
    assert worker.server.ends[0][2]["result"]["peakMemoryBytes"] > 100 * 1024**2
    maps = Path(f"/proc/{running.process.pid}/maps").read_text()
    assert "torch" not in maps, "serve decodes nothing"
