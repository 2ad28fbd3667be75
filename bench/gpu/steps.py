"""The steps of the measurement on a GPU. Each runs in a process of its own and yields one line for each figure."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import torch
from bench.gpu.card import Card
from bench.gpu.figures import Line, Sample, decibels, songs_per_minute, utilisation
from bench.gpu.phase import MODEL, Ended, Pods
from bench.separate import random_htdemucs
from demucs.htdemucs import HTDemucs

from audiojob_dev.models.proof_music import RATE, make_piece
from audiojob_dev.models.train_proof_model import store
from audiojob_runner.cpus import usable_cpus
from audiojob_runner.models.demucs import load_separator
from audiojob_runner.separation.accelerator import Accelerator
from audiojob_runner.separation.mixfile import MixFile, check_source, measure
from audiojob_runner.separation.separate import Separation
from audiojob_types.contract import Device

_SMALL_NETWORK: Final[dict[str, Any]] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "channels": 8,
    "nfft": 1024,
    "depth": 3,
    "t_layers": 1,
    "t_heads": 2,
    "bottom_channels": 16,
    "segment": 1,
}
_PIECE_SECONDS: Final = 6.0
_BLOCK: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: where, on songs of what length, and how many of them at most."""

    folder: Path
    device: Device
    small: bool

    @property
    def card(self) -> Card:
        """The GPU, if there is one to look at."""
        return Card(self.device is Device.GPU)

    @property
    def models(self) -> Path:
        """Holds htdemucs, or what stands for it in a small run."""
        return self.folder / "models"

    @property
    def song(self) -> Path:
        """Four minutes, as songs are."""
        return self.folder / "song.wav"

    @property
    def extract(self) -> Path:
        """Short, for the CPU hears it too."""
        return self.folder / "extract.wav"

    @property
    def songs(self) -> int:
        """Of each way to run them."""
        return 1 if self.small else 6

    def pods(self, name: str, device: Device | None = None) -> Pods:
        """Folders for the phases of a step."""
        return Pods(self.folder / name, self.song, self.models, (device or self.device).value)


def prepare(setting: Setting) -> Iterator[Line]:
    """The model, the two songs, and what they are measured on."""
    parameters: Mapping[str, Any] = _SMALL_NETWORK
    with contextlib.redirect_stdout(sys.stderr):
        if setting.small:
            torch.manual_seed(7)
            network: Any = HTDemucs(**parameters)
            store(network, setting.models, MODEL, parameters)
        else:
            random_htdemucs(setting.models)
    _write_song(setting.extract, 1 if setting.small else 24)
    _write_song(setting.song, 2 if setting.small else 240)
    yield {
        "what": "machine",
        "gpu": setting.card.describe(),
        "cpus": usable_cpus(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "network": "small" if setting.small else "htdemucs, random weights",
    }


def agreement(setting: Setting) -> Iterator[Line]:
    """The GPU's sources beside the CPU's: as Separate computes them, with float32 alone, and in mixed precision."""
    began = time.monotonic()
    wanted, _ = _separated(setting, Device.CPU)
    yield {"what": "cpu", "seconds": round(time.monotonic() - began, 2)}
    for what, mixed, tf32 in (("full", False, True), ("mixed", True, True), ("fullWithoutTf32", False, False)):
        # torch rounds what convolutions multiply to 10 bits on newer cards, unless it is told not to.
        torch.backends.cudnn.allow_tf32 = tf32
        began = time.monotonic()
        found, metadata = _separated(setting, setting.device, mixed)
        each = [decibels(one, other) for one, other in zip(found, wanted, strict=True)]
        known = [value for value in each if value is not None]
        seconds = round(time.monotonic() - began, 2)
        worst = min(known) if len(known) == len(each) else float("-inf")
        yield {"what": what, "decibels": max(worst, -999.0), "sources": each, "seconds": seconds, **metadata}


def cold(setting: Setting) -> Iterator[Line]:
    """Songs one after the other, each by a program of its own."""
    yield from _songs(setting, setting.pods("cold").as_program)


def forked(setting: Setting) -> Iterator[Line]:
    """The same by children of one process that holds the libraries and never touches CUDA."""
    yield from _songs(setting, setting.pods("forked").in_child)


def memory(setting: Setting) -> Iterator[Line]:
    """Phases that find the GPU's memory taken, then one that finds it free again."""
    pods = setting.pods("memory", Device.GPU)
    if setting.device is Device.CPU:
        yield {"what": "noGpu", **pods.in_child().line()}  # ends with 79 too, and the same code tells it
        return
    card, before = setting.card, setting.card.used_mib()
    for left in (700, 64):  # too little for the network; too little for CUDA itself
        with _taken(left):
            ended = pods.in_child()
            yield {"what": "full", "leftMib": left, "usedMib": card.used_mib(), **ended.line(), "reason": ended.reason}
    yield {"what": "free", "keptMib": card.kept_mib(before), **pods.in_child().line()}


STEPS: Final[dict[str, tuple[Callable[[Setting], Iterator[Line]], float]]] = {
    "prepare": (prepare, 60),
    "agreement": (agreement, 100),
    "memory": (memory, 80),
    "cold": (cold, 110),
    "forked": (forked, 110),
}
"""In the order in which they run, with the seconds that each may take."""


def _songs(setting: Setting, run: Callable[[], Ended]) -> Iterator[Line]:
    """One line for each song, then their pace and how busy the card was."""
    card, before = setting.card, setting.card.used_mib()
    done, spent, samples = 0, 0.0, list[Sample]()
    with card.watched() as watch:
        for _ in range(setting.songs):
            watch.take()  # what it saw between two songs is left out
            ended = run()
            looks = watch.take()
            samples += looks
            spent += ended.seconds
            done += ended.code == 0
            yield {"what": "song", **ended.line(), "keptMib": card.kept_mib(before), **utilisation(looks)}
            pace = songs_per_minute(done, spent)
            yield {"what": "pace", "songs": done, "songsPerMinute": pace, **utilisation(samples)}
    touched = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    assert not touched, "this process must not touch CUDA: its children could not"


def _separated(setting: Setting, device: Device, mixed: bool = False) -> tuple[np.ndarray[Any, Any], Line]:
    """All sources of the extract, of shape (sources, 2, samples), by the runner's own functions."""
    torch.set_num_threads(usable_cpus())
    accelerator = Accelerator(device, mixed=mixed)
    samples = check_source(setting.extract)
    model = load_separator(MODEL, setting.models, device, 0).model
    separation = Separation(model, samples, 25, 0, 0)
    accelerator.place(separation.networks)
    statistics = measure(setting.extract, samples, lambda: None)
    with MixFile(setting.extract, samples) as mix:
        blocks = [each.sources for each in separation.blocks(mix, statistics, accelerator, lambda _done: None)]
    metadata = accelerator.metadata()
    del separation, model
    accelerator.give_back()
    if device is Device.GPU:
        free, total = torch.cuda.mem_get_info()
        # What torch still counts is what cuBLAS keeps for itself.
        metadata |= {"freeMib": free >> 20, "totalMib": total >> 20, "keptBytes": torch.cuda.memory_allocated()}
    return np.concatenate(blocks, axis=-1), metadata


@contextlib.contextmanager
def _taken(left_mib: int) -> Iterator[None]:
    """A child takes the GPU's memory but so many MiB, and holds it."""
    ready, told = os.pipe()
    stay, end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(end)
            _take(left_mib)
            os.write(told, b"1")
            os.read(stay, 1)
        finally:
            os._exit(0)
    os.close(told)
    os.close(stay)
    try:
        if not os.read(ready, 1):
            raise RuntimeError("the GPU's memory could not be taken")
        yield
    finally:
        os.close(end)
        os.close(ready)
        os.waitpid(child, 0)


def _take(left_mib: int) -> None:
    """Plain allocations, from large to small, until no more than that is free."""
    held, size = [], _BLOCK * 4
    while size >= 1 << 21:
        free = torch.cuda.mem_get_info()[0]
        if free - size < left_mib << 20:
            size //= 2
            continue
        try:
            held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            size //= 2
    _HELD.extend(held)


_HELD: Final[list[torch.Tensor]] = []


def _write_song(path: Path, seconds: float) -> None:
    piece = make_piece(1, min(seconds, _PIECE_SECONDS)).mix.T
    with soundfile.SoundFile(path, "w", samplerate=RATE, channels=2, subtype="PCM_16", format="WAV") as file:
        for _ in range(round(seconds * RATE / len(piece))):
            file.write(piece)
