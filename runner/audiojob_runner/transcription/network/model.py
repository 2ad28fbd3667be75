"""The network: from 2 s of sound to how likely each of 88 notes sounds, and begins, in each frame.

It is the one file ``nmp.onnx`` of the package basic-pitch, of which nothing else is used. It is trusted by its sha256.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.network.windows import WINDOW

Matrix = NDArray[np.float32]

LOWEST_PITCH: Final = 21
PITCHES: Final = 88
CONTOUR_STEPS: Final = 3  # of a semitone in a contour
ENV_MODEL: Final = "AUDIOJOB_NOTES_MODEL"  # another place of the same file
_PACKAGE: Final = "basic-pitch"
_FILE: Final = "basic_pitch/saved_models/icassp_2022/nmp.onnx"
SHA256: Final = "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec"
_INPUT: Final = "serving_default_input_2:0"
_NOTES, _ONSETS, _CONTOURS = (f"StatefulPartitionedCall:{number}" for number in (1, 2, 0))


class ModelError(Exception):
    """The network cannot be used; the message says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network says of one window: frames by notes, by onsets, and by thirds of semitones."""

    notes: Matrix
    onsets: Matrix
    contours: Matrix

    def cut(self, frames: slice) -> Answer:
        """The answer for some of its frames."""
        return Answer(self.notes[frames], self.onsets[frames], self.contours[frames])


@dataclass(frozen=True, slots=True)
class Weights:
    """The network's file, read and checked."""

    content: bytes


class Network:
    """The loaded network."""

    def __init__(self, content: bytes, threads: int) -> None:
        """Raises :class:`ModelError` where the library cannot be loaded, or does not take the file."""
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait for one another sleep: spinning ones take a pod's share of the processor from those at work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"onnxruntime {runtime.__version__} does not take the network: {type(error).__name__}."
            ) from error

    def listen(self, samples: Matrix) -> Answer:
        """The answer for one window of samples."""
        assert samples.shape == (WINDOW,)
        notes, onsets, contours = self._session.run(
            [_NOTES, _ONSETS, _CONTOURS], {_INPUT: samples.reshape(1, WINDOW, 1)}
        )
        return Answer(notes[0], onsets[0], contours[0])


def _runtime() -> Any:
    """The library. Raises :class:`ModelError`: it is imported here, as only what works with the network needs it."""
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(f"onnxruntime cannot be loaded: {type(error).__name__}.") from error
    return onnxruntime


def load(environ: Mapping[str, str] = os.environ, threads: int = 1) -> Network:
    """The network, from the file that comes with the image. Raises :class:`ModelError`."""
    return Network(read_model(model_path(environ)), threads)


def load_ahead(environ: Mapping[str, str] = os.environ) -> Weights:
    """The library and the file, before anybody listens. The session is made later: its threads survive no fork.

    Raises :class:`ModelError`.
    """
    _runtime()
    return Weights(read_model(model_path(environ)))


def model_path(environ: Mapping[str, str]) -> Path:
    """Where the file is. Raises :class:`ModelError` where nothing says it."""
    if named := environ.get(ENV_MODEL):
        return Path(named)
    try:
        return Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(_FILE)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(f"The package {_PACKAGE}, which holds the network, is not installed.") from error


def read_model(path: Path) -> bytes:
    """The file, whole. Raises :class:`ModelError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The network's file {path.name} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ModelError(
            f"The network's file {path.name} is not the one that belongs to this release: it is torn or changed."
        )
    return content
