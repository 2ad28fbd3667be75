"""Separate over demucs' own command line, on the same file and model: ``python bench/separate.py [--minutes M]``.

Both get the proof model from tests/data/models and write 16-bit WAV; A is `python -m audiojob_runner run Separate`, B
is `python -m demucs`. They run in turn; wall time, processor time and peak memory are of the process and its children.
``--model htdemucs`` takes a network of the architecture and size of the published ``htdemucs`` instead, with random
weights: the ratio that users of such models see, without a download. It is far slower; take ``--minutes 2``.

``--long`` compares peak memory at 10 minutes and at 2 hours, ``--agreement`` the stems with those of demucs in one
piece, ``--cold`` tells where the time before the first chunk goes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import soundfile

from audiojob_dev.models.proof_music import RATE, make_piece, sdr
from audiojob_dev.models.train_proof_model import DEFAULT_FOLDER, NAME, store

# What demucs' authors trained `htdemucs` with, where it differs from the defaults of its class: 42 million parameters.
HTDEMUCS = "htdemucs"
HTDEMUCS_PARAMETERS: Final[dict[str, Any]] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "bottom_channels": 512,
    "dconv_mode": 3,
    "t_dropout": 0.02,
    "segment": Fraction(39, 5),
}
RANDOM_SEED = 7
PIECE_SECONDS = 20.0
PIECES = 3
COLD = """
import json, sys, time
began = time.monotonic()
marks = {}
def mark(name):
    global began
    now = time.monotonic()
    marks[name] = round(now - began, 2)
    began = now
import torch; mark("import torch")
import demucs.api; mark("import demucs")
from pathlib import Path
from audiojob_runner.tasks import separate; mark("import the task")
from audiojob_runner.separation.accelerator import Accelerator
from audiojob_runner.separation.mixfile import MixFile, check_source, measure
from audiojob_types.contract import Device
source, models = Path(sys.argv[1]), Path(sys.argv[2])
model = separate.load_separator("audiojob_proof", models, Device.CPU, 0).model; mark("load the model")
samples = check_source(source)
statistics = measure(source, samples, lambda: None); mark("first pass over the file (beside the loading)")
plan = separate.Separation(model, samples, 25, 0, 0)
class Heard(Exception): pass
def stop(done): raise Heard
try:
    with MixFile(source, samples) as mix:
        for _ in plan.blocks(mix, statistics, Accelerator(Device.CPU), stop): pass
except Heard: mark("first chunk")
print(json.dumps(marks))
"""


@dataclass(frozen=True)
class Cost:
    """Of one command."""

    wall: float
    cpu: float
    peak: int


def make_file(path: Path, minutes: int) -> Path:
    """Generated music: three short pieces over and over, since making it takes longer than separating it."""
    with soundfile.SoundFile(path, "w", samplerate=RATE, channels=2, subtype="PCM_16", format="RF64") as file:
        pieces = [make_piece(number, PIECE_SECONDS).mix.T for number in range(PIECES)]
        for number in range(int(minutes * 60 / PIECE_SECONDS)):
            file.write(pieces[number % PIECES])
    return path


def cost_of(command: list[str]) -> Cost:
    """Run it; it must succeed."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said.decode()[-2_000:]
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


@dataclass(frozen=True)
class Model:
    """A model by its name, in a folder of demucs' layout."""

    name: str = NAME
    folder: Path = DEFAULT_FOLDER


PROOF: Final = Model()


def random_htdemucs(folder: Path) -> Model:
    """A network as large as the published one, with seeded random weights, stored as published ones are."""
    import torch  # noqa: PLC0415 - the other measurements need none
    from demucs.htdemucs import HTDemucs  # noqa: PLC0415

    torch.manual_seed(RANDOM_SEED)
    network: Any = HTDemucs(**HTDEMUCS_PARAMETERS)
    size = sum(each.numel() for each in network.parameters())
    store(network, folder, HTDEMUCS, HTDEMUCS_PARAMETERS)
    print(f"model {HTDEMUCS}: the published architecture, {size:,} parameters; THE WEIGHTS ARE RANDOM, not trained")
    return Model(HTDEMUCS, folder)


def ours(source: Path, out: Path, *parameters: str, model: Model = PROOF) -> list[str]:
    """The command line of Separate."""
    chosen = (f"model={model.name}", "format=wav", *parameters)
    given = [part for parameter in chosen for part in ("--param", parameter)]
    return [
        sys.executable, "-m", "audiojob_runner", "run", "Separate", "--input", f"audio={source}", *given,
        "--models", str(model.folder), "--out", str(out),
    ]  # fmt: skip


def theirs(source: Path, out: Path, model: Model) -> list[str]:
    """The command line of demucs."""
    options = ["-n", model.name, "--repo", str(model.folder), "-d", "cpu", "--shifts", "0", "--overlap", "0.25"]
    return [sys.executable, "-m", "demucs", *options, "-o", str(out), str(source)]


def compare(folder: Path, minutes: int, pairs: int, model: Model) -> None:
    """A and B in turn."""
    source = make_file(folder / "mix.wav", minutes)
    out = folder / "out"
    costs: dict[str, list[Cost]] = {"Separate": [], "demucs": []}
    for _ in range(pairs):
        costs["Separate"].append(cost_of(ours(source, out, "bitDepth=Int16", model=model)))
        shutil.rmtree(out)
        costs["demucs"].append(cost_of(theirs(source, out, model)))
        shutil.rmtree(out)
    print(f"{minutes} minutes, {pairs} pairs, model {model.name}, load {os.getloadavg()[0]:.1f}")
    for name, values in costs.items():
        shown = ", ".join(f"{one.wall:.1f} s / {one.cpu:.1f} s cpu / {one.peak / 2**20:.0f} MiB" for one in values)
        print(f"  {name}: {shown}")
    kinds: dict[str, Callable[[Cost], float]] = {
        "wall": lambda one: one.wall,
        "processor time": lambda one: one.cpu,
        "peak memory": lambda one: one.peak,
    }
    for kind, value in kinds.items():
        ratios = [value(a) / value(b) for a, b in zip(costs["Separate"], costs["demucs"], strict=True)]
        print(f"  {kind}: ratio {statistics.median(ratios):.2f} (of pairs: {', '.join(f'{r:.2f}' for r in ratios)})")


def long_files(folder: Path) -> None:
    """Peak memory at two lengths."""
    peaks = {}
    for minutes in (10, 120):
        cost = cost_of(ours(make_file(folder / "mix.wav", minutes), folder / "out", "bitDepth=Int16"))
        peaks[minutes] = cost.peak
        print(f"{minutes} minutes: {cost.peak / 2**20:.0f} MiB, {cost.wall:.0f} s, {cost.cpu:.0f} s cpu")
        shutil.rmtree(folder / "out")
    print(f"2 hours over 10 minutes: {peaks[120] / peaks[10]:.3f}")


def agreement(folder: Path, minutes: int) -> None:
    """Stems against those of demucs' Separator on the whole file."""
    import torch  # noqa: PLC0415 - the other measurements need none
    from demucs.api import Separator  # noqa: PLC0415

    source = make_file(folder / "mix.wav", minutes)
    cost_of(ours(source, folder / "out"))
    sound = soundfile.read(source, dtype="float32")[0].T.copy()
    separator = Separator(NAME, repo=DEFAULT_FOLDER, device="cpu", shifts=0)
    _, whole = separator.separate_tensor(torch.from_numpy(sound), RATE)
    for name, stem in whole.items():
        found = soundfile.read(folder / "out" / f"{name}.wav", dtype="float32")[0].T
        print(f"{minutes} minutes, {name}: {sdr(found, stem.numpy()):.1f} dB")


def cold_start(folder: Path) -> None:
    """Seconds until the first chunk, by part."""
    source = make_file(folder / "mix.wav", 4)
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(source), str(DEFAULT_FOLDER)], check=True, capture_output=True, text=True
    )
    for name, seconds in json.loads(done.stdout).items():
        print(f"  {name}: {seconds} s")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--model", choices=(NAME, HTDEMUCS), default=NAME)
    for name in ("long", "agreement", "cold"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.long:
            long_files(Path(name))
        elif options.agreement:
            agreement(Path(name), options.minutes)
        elif options.cold:
            cold_start(Path(name))
        else:
            folder = Path(name)
            model = random_htdemucs(folder / "models") if options.model == HTDEMUCS else PROOF
            compare(folder, options.minutes, options.pairs, model)


if __name__ == "__main__":
    main()
