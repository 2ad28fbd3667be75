"""Rows F33 and F38 for the tasks that run ffmpeg: stopped in the middle, and a scratch disk that fills up."""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import PodFolder, eventually, is_alive
from tests.integration.runner.stores import StoreFolder

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

SOUND = ["-f", "lavfi", "-i", "anoisesrc=duration=1200:sample_rate=44100:seed=1"]
FILM = ["-f", "lavfi", "-i", "testsrc2=duration=120:size=640x360:rate=25"]
KEY, WORDS_KEY = "demo/uploads/source", "demo/uploads/lyrics"
WORDS = {
    "timing": "Lines",
    "origin": {"place": "Input"},
    "lines": [{"words": [{"text": "dragons"}], "startMilliseconds": 0, "endMilliseconds": 120_000}],
}
TASKS = [
    pytest.param("Normalize", {}, id="Normalize"),
    pytest.param("Transcode", {"format": "flac", "loudnessLufs": -14}, id="Transcode, measuring"),
    pytest.param("Transcode", {"format": "mp3"}, id="Transcode, a sound"),
    pytest.param("Transcode", {"format": "mp4"}, id="Transcode, a film"),
    pytest.param("Thumbnail", {"format": "png", "timeMilliseconds": 118_000}, id="Thumbnail"),
    pytest.param("Render", {}, id="Render"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two minutes whose last picture needs all before it, with a sound that compresses badly."""
    path = tmp_path_factory.mktemp("source") / "film.mkv"
    coding = ["-t", "120", "-c:v", "libx264", "-preset", "ultrafast", "-g", "100000", "-c:a", "flac"]
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *FILM, *SOUND, *coding, str(path)], check=True, timeout=110)
    return path


@pytest.fixture
def phase(folder_pod: PodFolder, folder_store: StoreFolder, source: Path) -> PodFolder:
    upload = folder_store.root / KEY
    upload.parent.mkdir(parents=True)
    shutil.copy(source, upload)
    (folder_store.root / WORDS_KEY).write_text(json.dumps(WORDS))
    if "PYTHONPATH" in os.environ:
        folder_pod.environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return folder_pod


def write(phase: PodFolder, task: str, parameters: dict[str, Any]) -> None:
    inputs = [{"name": "source", "key": KEY}]
    if task == "Render":
        inputs = [{"name": "accompaniment", "key": KEY}, {"name": "lyrics", "key": WORDS_KEY}]
    phase.write_phase(task, parameters, inputs=inputs)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize(("task", "parameters"), TASKS)
def test_F33_a_stop_ends_ffmpeg_and_publishes_nothing(
    phase: PodFolder, folder_store: StoreFolder, task: str, parameters: dict[str, Any]
) -> None:
    before = folder_store.published()
    write(phase, task, parameters)
    running = phase.start()
    tool = eventually(
        lambda: next((pid for pid in running.descendants() if "-i\0" in command_of(pid)), None), "ffmpeg runs"
    )
    family = running.descendants()

    running.stop()
    ended = running.wait(seconds=60)

    assert (ended.code, ended.result.reason) == (ExitCode.STOPPED, "Stopped"), ended.stderr
    eventually(lambda: not any(is_alive(pid) for pid in {tool, *family}), "nothing of the phase is left", seconds=60)
    assert folder_store.published() == before
    assert list((phase.root / "scratch").iterdir()) == []


@pytest.mark.parametrize(("task", "parameters"), [TASKS[0], TASKS[1], *TASKS[3:]])
def test_F38_a_full_scratch_ends_with_78_and_publishes_nothing(
    phase: PodFolder, folder_store: StoreFolder, task: str, parameters: dict[str, Any]
) -> None:
    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    before = folder_store.published()
    scratch = phase.root / "scratch"
    # Room for the task's folders and side files, and for no result.
    script = f'mount -t tmpfs -o size=8k tmpfs "{scratch}" && "$@"; exit $?'
    phase.wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    write(phase, task, parameters)

    ended = phase.run()

    assert (ended.code, ended.result.reason) == (ExitCode.DISK_FULL, "DiskFull"), ended.stderr
    assert folder_store.published() == before


def test_an_encoder_that_is_killed_leaves_no_film(phase: PodFolder, folder_store: StoreFolder) -> None:
    before = folder_store.published()
    write(phase, "Render", {})
    running = phase.start()
    encoder = eventually(
        lambda: next((pid for pid in running.descendants() if "ass=f=" in command_of(pid)), None), "the film is written"
    )
    os.kill(encoder, signal.SIGKILL)
    ended = running.wait(seconds=60)
    assert (ended.code, ended.result.reason) == (ExitCode.TEMPORARY, "OutOfMemory"), ended.stderr
    assert folder_store.published() == before
    assert list((phase.root / "scratch").iterdir()) == []
