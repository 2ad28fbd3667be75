"""Loads a demucs model by name: from the models folder only, never from a network, never another model instead.

demucs itself would take a path or a hub address for a name, fetch what it lacks, and unpickle what it finds. So names
come from a closed list, the hub is switched off before demucs is imported, and real models are looked up in one
folder that an administrator fills: ``<name>.yaml`` lists signatures, ``<signature>-<checksum>.th`` are the weights.
:mod:`weights` reads these, so that a tampered file runs nothing.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from audiojob_runner.errors import PhaseError
from audiojob_runner.models.volume import read_lock, read_plain
from audiojob_types.contract import Device, ExitCode
from audiojob_types.models import UNTRAINED_MODEL
from audiojob_types.reasons import Reason

if TYPE_CHECKING:
    from demucs.api import Separator

MAX_LISTING_BYTES: Final = 64 * 1024
_OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on the CPU, with the seed and the state of the files that it was loaded with."""

    name: str
    seed: int
    files: tuple[tuple[object, ...], ...]
    model: Any

    def fits(self, name: str, models_root: Path, seed: int) -> bool:
        """Whether loading it now would give the same. Only an untrained model's weights are made from the seed."""
        if name != self.name or (name == UNTRAINED_MODEL and seed != self.seed):
            return False
        try:
            return _state_of_files(name, models_root) == self.files
        except (PhaseError, OSError):  # loading it says what is wrong
            return False


def load_ahead(name: str, models_root: Path, seed: int) -> LoadedModel:
    """The model before anybody needs it: no GPU is touched and no thread begun. Raises as :func:`load_separator`."""
    files = _state_of_files(name, models_root)
    import torch  # noqa: PLC0415 - as in load_separator

    torch.set_num_threads(1)  # the others would not be there after a fork
    return LoadedModel(name, seed, files, load_separator(name, models_root, Device.CPU, seed).model)


def _state_of_files(name: str, models_root: Path) -> tuple[tuple[object, ...], ...]:
    files = find_files(name, models_root) if name != UNTRAINED_MODEL else ()
    found = ((path.name, path.stat()) for path in files)
    return tuple((file, status.st_ino, status.st_size, status.st_mtime_ns) for file, status in found)


def load_separator(name: str, models_root: Path, device: Device, seed: int) -> Separator:
    """The model, ready to separate, with every source of randomness set from ``seed``. Slow: weights are hashed.

    Raises :class:`PhaseError`: ModelMissing, ChecksumMismatch, or GpuError where no GPU can be used.
    """
    if name != UNTRAINED_MODEL:
        find_files(name, models_root)
    os.environ.update(_OFFLINE)
    import torch  # noqa: PLC0415 - heavy, and only after the hub is off
    from demucs.api import Separator  # noqa: PLC0415

    from audiojob_runner.models.weights import load_separator_from  # noqa: PLC0415

    target = _torch_device(device, torch)
    random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if name == UNTRAINED_MODEL:
        return Separator(model=name, device=target, progress=False)
    lock = read_lock(models_root)
    try:
        return load_separator_from(models_root, name, lock, target)
    except (PhaseError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise _unusable(name, f"{type(error).__name__}: {error}") from error


def find_files(name: str, models_root: Path) -> tuple[Path, ...]:
    """All files of a model, its list first; called before anything heavy is imported. Raises ModelMissing."""
    listing = models_root / f"{name}.yaml"
    if not listing.is_file():
        raise _missing(name, listing.name)
    try:
        bag = yaml.safe_load(read_plain(listing, MAX_LISTING_BYTES))
        signatures = [str(signature) for signature in bag["models"]]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise _unusable(name, f"{listing.name} is not a list of models") from error
    files, weights = [listing], list(models_root.glob("*.th"))
    for signature in signatures:
        found = [path for path in weights if signature in (path.stem, path.stem.rpartition("-")[0])]
        if not found:
            raise _missing(name, f"{signature}-….th")
        if len(found) > 1:
            raise _unusable(name, f"there are {len(found)} files for {signature}")
        files += found
    return tuple(files)


def _torch_device(device: Device, torch: Any) -> str:
    if device is Device.CPU:
        return "cpu"
    if not torch.cuda.is_available():
        raise PhaseError(ExitCode.GPU, Reason.GPU_ERROR, "No GPU can be used here.")
    return "cuda"


def _missing(name: str, file: str) -> PhaseError:
    return PhaseError(
        ExitCode.USAGE,
        Reason.MODEL_MISSING,
        f"Model '{name}' is not installed here: {file} is not in the models folder.",
    )


def _unusable(name: str, detail: str) -> PhaseError:
    return PhaseError(
        ExitCode.USAGE,
        Reason.MODEL_MISSING,
        f"Model '{name}' cannot be loaded: {' '.join(detail.split())[:300]}",
        "Ask the administrator to install the model again.",
    )
