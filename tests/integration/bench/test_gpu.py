"""The measurements on a GPU, as a dry run on the CPU: every step, with the real phase command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.gpu.card import Card

ROOT = Path(__file__).parents[3]
# Ten looks a second, as `nvidia-smi -lms 100`, or one; "busy" and "used" are what the card would say.
NVIDIA_SMI = """#!/bin/sh
case "$*" in
*name*) echo "Card 1, 580.1, 1024 MiB" ;;
*-lms*) while echo "40, 512"; do sleep 0.02; done ;;
*) echo "0, 4" ;;
esac
"""


@pytest.mark.integration
@pytest.mark.timeout(300)  # three programs load torch, which takes a while where a machine is busy
def test_every_step_of_the_script_runs_on_a_cpu(tmp_path: Path) -> None:
    command = ["bash", str(ROOT / "bench/gpu.sh"), "run", str(tmp_path), "--device", "cpu", "--small"]
    environ = {name: value for name, value in os.environ.items() if name != "OUT"} | {"PYTHON": sys.executable}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    lines = [json.loads(each) for each in (tmp_path / "gpu.jsonl").read_text().splitlines()]
    assert [each["ended"] for each in lines if "ended" in each] == ["ok"] * 5
    found = {(each["step"], each.get("what")): each for each in lines}
    assert found["agreement", "full"]["decibels"] >= 60
    assert found["memory", "noGpu"]["exitCode"] == 79
    assert found["cold", "pace"]["songs"] == found["forked", "pace"]["songs"] == 1
    assert found["summary", None]["failed"] == []
    assert [json.loads(each) for each in done.stdout.splitlines()] == lines


@pytest.mark.integration
def test_the_card_is_read_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    card = Card(present=True)
    assert card.describe() == "Card 1, 580.1, 1024 MiB"
    with card.watched() as watch:
        samples = watch.take()
    assert samples
    assert {(each.busy, each.used_mib) for each in samples} == {(40, 512)}
    assert (card.used_mib(), card.kept_mib(0.0), card.kept_mib(None)) == (4, 4, None)
    assert Card(present=False).used_mib() is None


@pytest.mark.integration
@pytest.mark.parametrize("arguments", [["run"], ["play", "."]], ids=["no folder", "no such command"])
def test_a_wrong_command_line_ends_with_64_and_tells_the_right_one(arguments: list[str]) -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "bench/gpu.sh"), *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 64
    assert "pack DIR" in done.stderr
