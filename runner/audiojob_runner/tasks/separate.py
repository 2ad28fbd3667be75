"""Separate: a mix into stems, by demucs. Stems are 44.1 kHz stereo and exactly as long as the input."""

from __future__ import annotations

import random
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile
import torch

from audiojob_runner.chunks import MAX_SHIFT, ChunkCounter, padded_length, stride_of
from audiojob_runner.cpus import usable_cpus
from audiojob_runner.demucs_models import UNTRAINED_MODEL, load_separator
from audiojob_runner.errors import PhaseError
from audiojob_runner.stems import BLOCK_SAMPLES, MEDIA_TYPES, Samples, Stem, plan_stems, write_stem
from audiojob_runner.tasks.api import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import Device, ExitCode
from audiojob_types.parameters import SeparateParameters
from audiojob_types.reasons import Reason

if TYPE_CHECKING:
    from demucs.api import Separator

SAMPLE_RATE: Final = 44_100
CHANNELS: Final = 2
# The slices of the percentage: loading, the network, writing.
LOADED_PERCENT: Final = 2.0
SEPARATED_PERCENT: Final = 96.0
_WAV_CONTAINERS: Final = frozenset({"WAV", "WAVEX", "RF64"})


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``audio`` (what Normalize makes) to one output per stem."""
    assert isinstance(parameters, SeparateParameters)
    source = _source(inputs)
    samples = check_source(source)
    threads = usable_cpus()
    torch.set_num_threads(threads)
    context.progress(0, f"Loading {parameters.model}")
    separator = load_separator(parameters.model, context.models_root, context.device, parameters.seed)
    try:
        stems = plan_stems(parameters.stems, separator.model.sources)
    except ValueError as error:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"Model '{parameters.model}': {error}.") from error
    context.progress(LOADED_PERCENT, "Separating")
    counter, separated = separate(separator, source, samples, parameters, context)
    outputs = _write(stems, separated, samples, parameters, context)
    context.progress(100, "Separated")
    metadata: dict[str, Any] = {
        "model": parameters.model,
        "device": context.device.value,
        "threads": threads,
        "chunks": counter.done,
        "demucs": version("demucs"),
        "torch": version("torch"),
    }
    if parameters.model == UNTRAINED_MODEL:
        metadata["untrained"] = True
    return TaskResult(outputs=outputs, metadata=metadata)


def check_source(source: Path) -> int:
    """Samples of a 44.1 kHz stereo WAV. Raises :class:`PhaseError` for any other file."""
    try:
        info = soundfile.info(source)
    except soundfile.LibsndfileError as error:
        raise _refused(Reason.NOT_MEDIA, "The input is not a WAV file") from error
    if info.format not in _WAV_CONTAINERS or info.samplerate != SAMPLE_RATE or info.channels != CHANNELS:
        raise _refused(
            Reason.NOT_MEDIA,
            f"The input is {info.format} with {info.channels} channels at {info.samplerate} Hz, "
            f"not WAV with {CHANNELS} at {SAMPLE_RATE}",
        )
    if info.frames == 0:
        raise PhaseError(ExitCode.NOT_MEDIA, Reason.EMPTY_MEDIA, "The input has 0 seconds of sound.")
    return int(info.frames)


def separate(
    separator: Separator, source: Path, samples: int, parameters: SeparateParameters, context: TaskContext
) -> tuple[ChunkCounter, dict[str, torch.Tensor]]:
    """Run the network over the whole file; tensors of shape (2, padded samples) by source, on the CPU."""
    networks = list(getattr(separator.model, "models", [separator.model]))
    strides = [stride_of(float(network.segment), parameters.overlap_percent, SAMPLE_RATE) for network in networks]
    length = padded_length(samples, strides, MAX_SHIFT if parameters.shifts else 0)
    counter = ChunkCounter.plan(length, strides, parameters.shifts)
    context.log.info("%d samples, %d chunks, stride %s", samples, counter.total, strides)

    def on_event(event: dict[str, Any]) -> None:
        if context.cancelled.is_set():
            raise PhaseError(ExitCode.STOPPED, Reason.STOPPED, "The phase was told to stop.")
        counter.see(event)
        percent = LOADED_PERCENT + (SEPARATED_PERCENT - LOADED_PERCENT) * counter.fraction
        context.progress(percent, f"Separated {counter.done} of {counter.total} chunks")

    separator.update_parameter(
        shifts=parameters.shifts, overlap=parameters.overlap_percent / 100, split=True, callback=on_event
    )
    mix = read_mix(source, samples, length)
    random.seed(parameters.seed)  # demucs draws its shifts from here
    try:
        _, separated = separator.separate_tensor(mix, SAMPLE_RATE)
    except torch.OutOfMemoryError as error:
        raise PhaseError(
            ExitCode.GPU, Reason.GPU_OUT_OF_MEMORY, "The GPU has too little memory for this file."
        ) from error
    except RuntimeError as error:
        raise _from_torch(error, context.device) from error
    return counter, separated


def read_mix(source: Path, samples: int, length: int) -> torch.Tensor:
    """The file as (2, ``length``) float32, with silence after ``samples``. Raises CorruptMedia for NaN or infinity."""
    mix = torch.zeros(CHANNELS, length)
    position = 0
    for block in soundfile.blocks(source, blocksize=BLOCK_SAMPLES, dtype="float32", always_2d=True):
        if not np.isfinite(block).all():
            raise _refused(Reason.CORRUPT_MEDIA, "The input holds numbers that are no sound (NaN or infinity)")
        mix[:, position : position + len(block)] = torch.from_numpy(block.T)
        position += len(block)
    if position != samples:
        raise _refused(Reason.CORRUPT_MEDIA, f"The input ends after {position} of {samples} samples")
    return mix


def _write(
    stems: list[Stem],
    separated: dict[str, torch.Tensor],
    samples: int,
    parameters: SeparateParameters,
    context: TaskContext,
) -> list[TaskOutput]:
    outputs = []
    for number, stem in enumerate(stems):
        tensors = [separated[source] for source in stem.sources]

        def read(start: int, stop: int, tensors: list[torch.Tensor] = tensors) -> Samples:
            # A new array each time: the tensors may share memory with one another.
            total = tensors[0][:, start:stop].clone()
            for tensor in tensors[1:]:
                total += tensor[:, start:stop]
            array: Samples = total.T.contiguous().numpy()
            return array

        path = context.work_dir / f"{stem.name}.{parameters.format}"
        written = write_stem(path, read, samples, SAMPLE_RATE, parameters.format)
        outputs.append(
            TaskOutput(
                name=stem.name,
                path=path,
                media_type=MEDIA_TYPES[parameters.format],
                metadata=written.metadata(SAMPLE_RATE, CHANNELS),
            )
        )
        percent = SEPARATED_PERCENT + (100 - SEPARATED_PERCENT) * (number + 1) / len(stems)
        context.progress(percent, f"Wrote {stem.name}")
    return outputs


def _from_torch(error: RuntimeError, device: Device) -> Exception:
    """torch has one exception type for nearly everything; its words tell them apart."""
    text = str(error)
    if "allocate memory" in text:
        return PhaseError(
            ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, "There is too little memory for a file of this length."
        )
    if device is Device.GPU and ("CUDA" in text or "cudnn" in text.lower() or "cublas" in text.lower()):
        return PhaseError(ExitCode.GPU, Reason.GPU_ERROR, f"The GPU failed: {text.splitlines()[0][:200]}")
    return error


def _source(inputs: Mapping[str, TaskInput]) -> Path:
    given = inputs.get("audio")
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Separate needs an input file named 'audio'.")
    return given.path


def _refused(reason: Reason, message: str) -> PhaseError:
    return PhaseError(
        ExitCode.NOT_MEDIA, reason, f"{message}.", "Run Normalize first, and give its output to Separate."
    )
