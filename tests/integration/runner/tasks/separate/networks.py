"""Small real demucs networks, stored as the published ones are: YAML, and checksummed pickles."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

FOUR = ["drums", "bass", "other", "vocals"]
_SMALL: dict[str, Any] = {"channels": 8, "nfft": 1024, "depth": 4, "segment": 2}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "HDemucs": (HDemucs, {**_SMALL, "hybrid": False, "norm_starts": 99, "dconv_lstm": 99, "dconv_attn": 99}),
    "HTDemucs": (HTDemucs, {**_SMALL, "depth": 3, "t_layers": 1, "t_heads": 2, "bottom_channels": 16}),
    "Demucs": (Demucs, {"channels": 8, "depth": 3, "lstm_layers": 0, "segment": 2}),
}


def store_network(folder: Path, signature: str, kind: str = "HDemucs", **changes: Any) -> Path:
    """Weights drawn from a seed of their own; the path of the file, named after its checksum."""
    klass, kwargs = KINDS[kind]
    kwargs = {"sources": FOUR, **kwargs, **changes}
    torch.manual_seed(int(hashlib.sha256(signature.encode()).hexdigest()[:6], 16))
    package = {"klass": klass, "args": (), "kwargs": kwargs, "state": klass(**kwargs).state_dict()}
    path = folder / f"{signature}.th"
    torch.save(package, path)
    return path.rename(folder / f"{signature}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.th")


def store_bag(folder: Path, name: str, signatures: list[str], weights: list[list[float]] | None = None) -> None:
    """The list that makes networks one model."""
    text = f"models: {signatures}\n" + (f"weights: {weights}\n" if weights else "")
    (folder / f"{name}.yaml").write_text(text)
