"""`python -m audiojob_runner run`: one task on local files, with the contract's exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.runner.pods import eventually

pytestmark = pytest.mark.integration

COMMAND = (sys.executable, "-m", "audiojob_runner")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_task_leaves_its_outputs_and_lists_them_as_json(tmp_path: Path) -> None:
    out = tmp_path / "my stems #1"

    ended = run("run", "Simulate", "--param", "outputBytes=20000000", "--out", str(out))

    assert ended.returncode == 0, ended.stderr
    [output] = json.loads(ended.stdout)["outputs"]
    assert (output["name"], output["bytes"]) == ("output", 20_000_000)
    assert Path(output["file"]) == out / "output.bin"
    assert [path.name for path in out.iterdir()] == ["output.bin"]
    assert "100 %  Done" in ended.stderr


def test_outputs_are_overwritten_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "output.bin").write_text("mine", encoding="utf-8")

    refused = run("run", "Simulate", "--out", str(tmp_path))

    assert (refused.returncode, (tmp_path / "output.bin").read_text(encoding="utf-8")) == (64, "mine")
    assert "--force" in refused.stderr
    assert run("run", "Simulate", "--out", str(tmp_path), "--force").returncode == 0
    assert (tmp_path / "output.bin").stat().st_size == 64


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["Dance"], 64, "Separate", id="an unknown task is answered with the known ones"),
        pytest.param(["Simulate", "--param", "exitCode=999"], 64, "parameters.simulate.exitCode", id="too large"),
        pytest.param(["Simulate", "--param", "colour=red"], 64, "parameters.simulate.colour", id="unknown parameter"),
        pytest.param(["Simulate", "--input", "source=/no/file"], 66, "/no/file", id="an input that is not there"),
        pytest.param(["Simulate", "--param", "exitCode=69"], 69, "BlockedAddress", id="a task that fails"),
        pytest.param(["Normalize", "--input", f"audio={__file__}"], 64, "--input source=FILE", id="a wrong name"),
        pytest.param(["Publish", "--input", f"audio={__file__}"], 64, "--library DIR", id="no library"),
        pytest.param(
            ["Separate", "--input", f"audio={__file__}", "--param", "keep=voices"], 64, "vocals", id="no such stem"
        ),
    ],
)
def test_failures_end_with_the_contracts_codes(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    ended = run("run", *arguments, "--out", str(tmp_path / "out"))

    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_there_already_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "output.bin").touch()

    ended = run("run", "Simulate", "--param", "durationMilliseconds=3600000", "--out", str(tmp_path))

    assert (ended.returncode, "already has output.bin" in ended.stderr) == (64, True)
    assert "%" not in ended.stderr, "no work has begun"


def test_publish_names_a_file_by_its_tags_or_its_name(tmp_path: Path) -> None:
    for name in ("library", "tagged"):
        (tmp_path / name).mkdir()
    songs = {"plain song.wav": [], "tagged/x.flac": ["-metadata", "title=Für Élise", "-metadata", "artist=Alice"]}
    tone = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.1"]
    for name, tags in songs.items():
        subprocess.run([*tone, *tags, str(tmp_path / name)], check=True, timeout=60)

        ended = run(
            "run", "Publish", "--input", f"audio={tmp_path / name}", "--library", str(tmp_path / "library"),
            "--out", str(tmp_path / "out" / name),
        )  # fmt: skip

        assert ended.returncode == 0, ended.stderr
    files = sorted(str(path.relative_to(tmp_path / "library")) for path in (tmp_path / "library").rglob("*.*"))
    assert files == ["Alice/Für Élise.flac", "Unknown artist/plain song.wav"]


def test_an_output_folder_that_is_a_file_is_a_clear_failure(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x", encoding="utf-8")

    ended = run("run", "Simulate", "--out", str(tmp_path / "out"))

    assert ended.returncode == 64
    assert str(tmp_path / "out") in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_stop_ends_it_at_once_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    # A run of the tests that is to outlive its terminal has all that it starts pass over SIGHUP.
    command = ["env", "--default-signal", *COMMAND, "run", "Simulate"]
    command += ["--param", "durationMilliseconds=3600000", "--out", str(tmp_path / "out")]
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    assert process.stderr is not None
    eventually(lambda: "Step" in process.stderr.readline() if process.stderr else "", "the task runs")

    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)

    assert (process.returncode, "Stopped" in stderr) == (143, True)
    assert list((tmp_path / "out").iterdir()) == list((tmp_path / "scratch").iterdir()) == []


def test_what_is_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    command = ["nohup", *COMMAND, "run", "Simulate", "--param", "durationMilliseconds=1000", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    eventually(lambda: "Step" in process.stderr.readline() if process.stderr else "", "the task runs")

    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 0, stderr


def test_the_list_of_tasks_names_every_parameter() -> None:
    ended = run("tasks")

    assert ended.returncode == 0
    assert all(word in ended.stdout for word in ("Download", "Normalize", "Separate", "Simulate", "overlapPercent"))
