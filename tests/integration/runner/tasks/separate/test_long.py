"""Long files: what is separated piece by piece is what demucs makes of the whole, in memory that does not grow."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.separate.networks import store_bag, store_network

from audiojob_dev.models.proof_music import make_piece, sdr
from audiojob_dev.models.train_proof_model import DEFAULT_FOLDER
from audiojob_runner.models.demucs import load_separator
from audiojob_types.contract import Device
from audiojob_types.tasks import Task

RATE = 44_100


def one(kind: str) -> Callable[[Path], None]:
    def store(folder: Path) -> None:
        store_network(folder, "aaaaaaaa", kind)
        store_bag(folder, "mdx", ["aaaaaaaa"])

    return store


def mixed_bag(folder: Path) -> None:
    """Two kinds of network with chunks of different lengths, and a weight for each source of each."""
    store_network(folder, "aaaaaaaa", "HDemucs")
    store_network(folder, "bbbbbbbb", "Demucs", segment=3)
    store_bag(folder, "mdx", ["aaaaaaaa", "bbbbbbbb"], [[1, 1, 0, 2], [0, 1, 1, 1]])


def whole(bench: Bench, source: Path, **options: Any) -> dict[str, np.ndarray[Any, Any]]:
    """What demucs itself makes of the file in one piece."""
    separator = load_separator("mdx", bench.models, Device.CPU, seed=3)
    separator.update_parameter(**options)
    sound, _ = soundfile.read(source, dtype="float32", always_2d=True)
    random.seed(3)
    _, stems = separator.separate_tensor(torch.from_numpy(sound.T.copy()), RATE)
    return {name: stem.numpy() for name, stem in stems.items()}


@pytest.mark.parametrize(
    ("store", "shifts", "overlap"),
    [
        pytest.param(one("HDemucs"), 0, 25, id="hybrid"),
        pytest.param(one("HTDemucs"), 0, 25, id="hybrid transformer"),
        pytest.param(one("Demucs"), 0, 50, id="waveform, half overlapping"),
        pytest.param(mixed_bag, 0, 25, id="a bag of two kinds"),
        pytest.param(mixed_bag, 1, 50, id="a bag with a shift, half overlapping"),
    ],
)
def test_the_pieces_are_what_demucs_makes_of_the_whole(
    bench: Bench, tmp_path: Path, store: Callable[[Path], None], shifts: int, overlap: int
) -> None:
    store(bench.models)
    piece = make_piece(11, 9.0)
    # An offset and a loud end: statistics of pieces would differ from those of the whole.
    sound = piece.mix * np.linspace(0.05, 1, piece.mix.shape[1], dtype=np.float32) + 0.02
    soundfile.write(tmp_path / "mix.wav", sound.T, RATE, subtype="FLOAT")

    result = bench.run(
        Task.SEPARATE, tmp_path / "mix.wav", model="mdx", format="wav", shifts=shifts, overlapPercent=overlap, seed=3
    )

    want = whole(bench, tmp_path / "mix.wav", shifts=shifts, overlap=overlap / 100)
    for output in result.outputs:
        found, _ = soundfile.read(output.path, dtype="float32")
        assert sdr(found.T, want[output.name]) > 60, output.name
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A minute and a half needs what half a minute needs; the two hours are in bench/separate.py --long."""
    peaks = []
    for times in (1, 3):
        soundfile.write(tmp_path / "mix.wav", np.tile(make_piece(5, 30.0).mix.T, (times, 1)), RATE)
        peaks.append(peak_bytes(tmp_path / "mix.wav", tmp_path / "out"))
        shutil.rmtree(tmp_path / "out")
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 2 * 1024**3


# A process counts the memory of the one that started it as its own until it executes its program, and pytest may be
# larger than what is measured; this one is small.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_bytes(source: Path, out: Path) -> int:
    """The largest memory of the command that separates the file."""
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "audiojob_runner", "run", "Separate"]
    command += ["--input", f"audio={source}", "--param", "model=audiojob_proof", "--models", str(DEFAULT_FOLDER)]
    done = subprocess.run([*command, "--out", str(out)], check=True, capture_output=True, text=True)
    return int(done.stdout)
