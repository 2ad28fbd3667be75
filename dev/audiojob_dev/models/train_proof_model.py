"""Trains the proof model: ``python -m audiojob_dev.models.train_proof_model [FOLDER]``. Minutes on one processor.

It is a demucs network (HDemucs) with few channels and two sources, tonal and percussive, stored as the published models
are: ``audiojob_proof.yaml`` and ``<signature>-<checksum>.th``. It exists to prove that stems are separated, not to be
good: it has only ever heard the generated music of :mod:`audiojob_dev.models.proof_music`. With the same versions
of torch and numpy, the same numbers come out.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from demucs import states
from demucs.apply import apply_model
from demucs.hdemucs import HDemucs

from audiojob_dev.models.proof_music import RATE, SOURCES, make_piece, sdr

_states: Any = states  # demucs is typed in part

NAME: Final = "audiojob_proof"
DEFAULT_FOLDER: Final = Path(__file__).resolve().parents[3] / "tests" / "data" / "models"
HYPERPARAMETERS: Final[dict[str, Any]] = {
    "sources": list(SOURCES),
    "channels": 8,
    "nfft": 2048,
    "depth": 5,
    "hybrid": False,  # the spectrogram branch alone: small and quick
    "norm_starts": 99,
    "dconv_depth": 2,
    "dconv_attn": 99,
    "dconv_lstm": 99,
    "dconv_init": 0.1,
    "segment": 6,
}
SEED: Final = 20
PIECES: Final = 120
PIECE_SECONDS: Final = 6.0
CROP_SECONDS: Final = 1.0
BATCH: Final = 4
STEPS: Final = 1_000
LEARNING_RATE: Final = 3e-3
HELD_OUT: Final = range(1_000_000, 1_000_006)


def _signature(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


SIGNATURE: Final = _signature(NAME)


def train() -> Any:
    """The trained network. Prints where it stands."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    random = np.random.default_rng(SEED)
    network: Any = HDemucs(**HYPERPARAMETERS)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    pieces = [_stack(seed) for seed in range(PIECES)]
    began = time.monotonic()
    network.train()
    for step in range(STEPS):
        targets = _batch(pieces, random)
        estimates = network(targets.sum(1))
        loss = (estimates - targets).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            silence = targets.abs().mean().item()  # what a network that says nothing would have
            seconds = time.monotonic() - began
            print(f"step {step + 1} of {STEPS}: loss {loss.item():.4f} of {silence:.4f}, {seconds:.0f} s", flush=True)
    network.train(mode=False)
    return network


def improvement(network: Any, seeds: range = HELD_OUT) -> dict[str, float]:
    """By how many dB each part is better than the mixture, on average over pieces that were not trained on."""
    gains: dict[str, list[float]] = {source: [] for source in SOURCES}
    for seed in seeds:
        parts = _stack(seed)
        mix = parts.sum(0)
        mean, deviation = mix.mean(0).mean(), mix.mean(0).std() + 1e-8
        estimates = apply_model(network, ((mix - mean) / deviation)[None], shifts=0)[0] * deviation + mean
        for number, source in enumerate(SOURCES):
            truth = parts[number].numpy()
            gains[source].append(sdr(estimates[number].numpy(), truth) - sdr(mix.numpy(), truth))
    return {source: float(np.mean(values)) for source, values in gains.items()}


def store(network: Any, folder: Path, name: str = NAME, hyperparameters: Mapping[str, Any] = HYPERPARAMETERS) -> Path:
    """Write a model's two files as demucs' local repositories have them; the path of the weights.

    ``hyperparameters`` are the arguments that the network was made with.
    """
    signature = _signature(name)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{signature}-*.th"):
        old.unlink()
    package = {
        "klass": type(network),
        "args": (),
        "kwargs": dict(hyperparameters),
        "state": _states.get_state(network, None, half=True),
    }
    _states.save_with_checksum(package, folder / f"{signature}.th")
    (folder / f"{name}.yaml").write_text(f"models: ['{signature}']\n", encoding="utf-8")
    return next(folder.glob(f"{signature}-*.th"))


def main(arguments: list[str]) -> int:
    """Train, store, and tell what came out; 1 when it did not learn enough."""
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    weights = store(train(), folder)
    gains = improvement(_states.load_model(weights))
    print(f"{weights}: {weights.stat().st_size} bytes, better than the mixture by (dB): {gains}")
    return 0 if min(gains.values()) >= 6 else 1


def _stack(seed: int) -> torch.Tensor:
    piece = make_piece(seed, PIECE_SECONDS)
    return torch.from_numpy(np.stack([piece.tonal, piece.percussive]))


def _batch(pieces: list[torch.Tensor], random: np.random.Generator) -> torch.Tensor:
    """Crops of (batch, source, channel, sample): parts of different pieces, so that nothing but the sound tells them
    apart, each batch normalised as demucs normalises a track."""
    length = round(CROP_SECONDS * RATE)
    crops = []
    for _ in range(BATCH):
        parts = []
        for number in range(len(SOURCES)):
            piece = pieces[random.integers(len(pieces))]
            start = int(random.integers(piece.shape[-1] - length))
            gain = 10 ** (random.uniform(-4, 4) / 20)
            parts.append(piece[number, :, start : start + length] * gain)
        crop = torch.stack(parts)
        crops.append(crop / (crop.sum(0).mean(0).std() + 1e-3))
    return torch.stack(crops)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
