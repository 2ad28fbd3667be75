"""Row F33: scores that are stopped, or lose their worker, within a call of the libraries that listen and print."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tests.integration.runner.pods import PodFolder, eventually, is_alive
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.transcribe.sounds import tune, write

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

KEY = "demo/uploads/source"


@pytest.fixture
def phase(folder_pod: PodFolder, folder_store: StoreFolder) -> PodFolder:
    (folder_store.root / KEY).parent.mkdir(parents=True)
    if "PYTHONPATH" in os.environ:
        folder_pod.environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return folder_pod


def written(phase: PodFolder) -> set[str]:
    """The names of what the worker has written until now."""
    return {path.name for path in (phase.root / "scratch").rglob("*")}


def test_a_stop_while_the_network_listens_publishes_nothing(phase: PodFolder, folder_store: StoreFolder) -> None:
    write(phase.root.parent, tune((60, 62, 64, 65) * 20)).rename(folder_store.root / KEY)
    phase.write_phase("Transcribe", {"instrument": "Piano"}, inputs=[{"name": "audio", "key": KEY}])
    before = folder_store.published()
    running = phase.start()
    eventually(lambda: "sound.wav" in written(phase) and len(running.descendants()) == 1, "the sound is decoded")
    [worker] = running.descendants()

    running.stop()
    ended = running.wait()

    assert (ended.code, ended.result.reason) == (ExitCode.STOPPED, "Stopped"), ended.stderr
    assert not is_alive(worker)
    assert list((phase.root / "scratch").iterdir()) == []
    assert folder_store.published() == before


def test_a_call_of_typst_that_does_not_return_is_ended_and_the_next_attempt_does_it_all(
    phase: PodFolder, folder_store: StoreFolder, tmp_path: Path
) -> None:
    notes = [{"onset": at / 2, "offset": at / 2 + 0.4, "pitch": 60 + at % 5} for at in range(12)]
    record = {"version": 1, "durationSeconds": 8.0, "instrument": "Piano", "notes": notes}
    (folder_store.root / KEY).write_text(json.dumps(record))
    before = folder_store.published()
    phase.write_phase("Engrave", {}, inputs=[{"name": "notes", "key": KEY}])
    font = tmp_path / "fonts" / "endless.ttf"
    font.parent.mkdir()
    os.mkfifo(font)  # nobody writes into it: whoever opens it waits for ever
    phase.environ["AUDIOJOB_FONTS"] = str(font.parent)

    for by_us in (False, True):
        running = phase.start()
        eventually(lambda: "sheets.typ" in written(phase), "typst is asked")
        [worker] = running.descendants()
        if by_us:
            running.stop()
        else:
            os.kill(worker, signal.SIGKILL)
        ended = running.wait()
        assert ended.code == (ExitCode.STOPPED if by_us else ExitCode.TEMPORARY), ended.stderr
        assert not is_alive(worker)
        assert list((phase.root / "scratch").iterdir()) == []
        assert folder_store.published() == before

    font.unlink()
    ended = phase.run()
    assert ended.code == 0, ended.stderr
    assert folder_store.published() != before
