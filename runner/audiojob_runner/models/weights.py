"""Loads a network from a file of weights without running code from the file.

A published model is a pickle that names a class and holds its arguments and tensors. demucs unpickles it without
limits, which runs whatever a tampered file says. Here torch's restricted unpickler reads it, every name that such a
file needs stands for something inert, and only a class of demucs becomes real, after it was looked up in a list.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import torch
from demucs.api import Separator
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.repo import BagOnlyRepo, LocalRepo, ModelLoadingError
from demucs.states import load_model

from audiojob_runner.errors import PhaseError
from audiojob_runner.models.volume import Lock, contradiction, sha256_of
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason


class _DemucsName:
    """Stands for ``demucs.demucs.Demucs`` in a file."""


class _HDemucsName:
    """Stands for ``demucs.hdemucs.HDemucs`` in a file."""


class _HTDemucsName:
    """Stands for ``demucs.htdemucs.HTDemucs`` in a file."""


_CLASSES: Final[Mapping[type, tuple[str, type]]] = {
    _DemucsName: ("demucs.demucs.Demucs", Demucs),
    _HDemucsName: ("demucs.hdemucs.HDemucs", HDemucs),
    _HTDemucsName: ("demucs.htdemucs.HTDemucs", HTDemucs),
}


class _NumberKind:
    """Stands for a dtype of numpy: published files hold a few numbers of numpy beside the weights."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, _state: object) -> None:
        """Byte order and the like: files are written on little-endian machines."""


_FORMATS: Final = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}


def _number(kind: object, raw: object = b"", *_: object) -> object:
    """Stands for numpy's ``scalar``: a plain number, or None for what is none."""
    code = kind.code if isinstance(kind, _NumberKind) else None
    form = _FORMATS.get(code) if isinstance(code, str) else None
    if form is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize(form):
        return None
    value: object = struct.unpack(form, raw)[0]
    return value


# Everything that a file may name, beside tensors and plain containers, which torch itself allows.
_STAND_INS: Final[list[Any]] = [
    *((stand_in, name) for stand_in, (name, _) in _CLASSES.items()),
    (Fraction, "fractions.Fraction"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
    (_NumberKind, "numpy.dtype"),
]
_PLAIN: Final = (type(None), bool, int, float, str, Fraction)
_MAX_DEPTH: Final = 16


def load_separator_from(root: Path, name: str, lock: Lock, device: str) -> Separator:
    """demucs' separator with the model ``name`` of the folder ``root``, checked against the record ``lock``.

    Raises :class:`PhaseError` (ChecksumMismatch), or any exception for files that make no model.
    """
    return _CheckedSeparator(root, name, lock, device)


def read_package(path: Path) -> dict[str, Any]:
    """The class, its arguments and its state, as demucs' ``load_model`` wants them.

    Raises ``ModelLoadingError``, or what torch raises for a file that is none or names what it must not.
    """
    with torch.serialization.safe_globals(_STAND_INS):
        package = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(package, dict):
        raise ModelLoadingError(f"{path.name} holds no model")
    klass, args, kwargs, state = (package.get(key) for key in ("klass", "args", "kwargs", "state"))
    # Looked up by identity: an instance, or anything that calls itself equal, is no class.
    real = next((real for stand_in, (_, real) in _CLASSES.items() if stand_in is klass), None)
    if real is None:
        raise ModelLoadingError(f"{path.name} is not of a class of demucs")
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict) or not _is_plain([args, kwargs]):
        raise ModelLoadingError(f"{path.name} has arguments that are no plain values")
    if not isinstance(state, dict) or "__quantized" in state:
        # demucs would end the process here, for want of the package diffq.
        raise ModelLoadingError(f"{path.name} is quantised, which is not supported, or has no weights")
    if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()):
        raise ModelLoadingError(f"{path.name} has weights that are no tensors")
    return {"klass": real, "args": args, "kwargs": kwargs, "state": state}


def _is_plain(value: object, depth: int = 0) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item, depth + 1) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item, depth + 1) for item in value)
    return type(value) in _PLAIN


class _CheckedRepo(LocalRepo):
    """demucs' folder of networks, with its unpickling replaced."""

    def __init__(self, root: Path, model: str, lock: Lock) -> None:
        super().__init__(root)
        self._model = model
        self._lock = lock

    def get_model(self, sig: str) -> Any:
        """A network by its signature, which comes from a model's list and never from a user."""
        path: Path | None = self._models.get(sig)
        if path is None:
            raise ModelLoadingError(f"there is no file of weights for {sig}")
        against = contradiction(path.name, sha256_of(path), self._lock)
        if against:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.CHECKSUM_MISMATCH,
                f"Model '{self._model}' cannot be loaded: {path.name} is damaged: {against}.",
                "Ask the administrator to run the prefetch Job again: it replaces damaged files.",
            )
        return load_model(read_package(path))  # type: ignore[no-untyped-call]


class _CheckedSeparator(Separator):
    """demucs' separator, with its model from a checked folder."""

    def __init__(self, root: Path, name: str, lock: Lock, device: str) -> None:
        self._root = root
        self._lock = lock
        super().__init__(model=name, repo=root, device=device, progress=False)

    def _load_model(self) -> None:
        repo = BagOnlyRepo(self._root, _CheckedRepo(self._root, self._name, self._lock))
        self._model = repo.get_model(self._name)
        self._model.eval()
        self._audio_channels = self._model.audio_channels
        self._samplerate = self._model.samplerate
