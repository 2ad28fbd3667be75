"""Separate: splits a mix into stems with demucs. Stems are stereo and exactly as long as the input."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch

from audiojob_runner.cpus import usable_cpus
from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.models.demucs import LoadedModel, load_ahead, load_separator
from audiojob_runner.separation.accelerator import Accelerator
from audiojob_runner.separation.allocator import keep_freed_memory
from audiojob_runner.separation.mixfile import MixFile, Statistics, check_source, measure
from audiojob_runner.separation.separate import Separation
from audiojob_runner.separation.stemfiles import MEDIA_TYPES, FileKind, StemFile, StemWriter, WrittenStem
from audiojob_runner.separation.stems import Stem, add_missing, keep_stems, plan_stems, sum_of
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.models import UNTRAINED_MODEL
from audiojob_types.reasons import Reason
from audiojob_types.tasks.separate import SeparateParameters

# The slices of the percentage: loading beside the first pass over the file, the network beside the encoders.
LOADED_PERCENT: Final = 2.0
SEPARATED_PERCENT: Final = 99.0


def prepare(parameters: WireModel, models_root: Path) -> LoadedModel:
    """The network, on the CPU: ``run`` moves it to its device."""
    assert isinstance(parameters, SeparateParameters)
    return load_ahead(parameters.model, models_root, parameters.seed)


def fits(prepared: object, parameters: WireModel, models_root: Path) -> bool:
    """Whether it is the network that these parameters name, from the files that are there now."""
    assert isinstance(parameters, SeparateParameters)
    return isinstance(prepared, LoadedModel) and prepared.fits(parameters.model, models_root, parameters.seed)


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``audio`` (what Normalize makes) to one output per stem."""
    assert isinstance(parameters, SeparateParameters)
    source = _source(inputs)
    samples = check_source(source)
    keep_freed_memory()
    threads = usable_cpus()
    torch.set_num_threads(threads)
    context.progress(0, f"Loading {parameters.model}")
    accelerator = Accelerator(context.device, mixed=parameters.precision == "Mixed")
    statistics, model = _measure_and_load(source, samples, parameters, context)
    separation = Separation(model, samples, parameters.overlap_percent, parameters.shifts, parameters.seed)
    stems = _choose(parameters, separation.sources)
    accelerator.place(separation.networks)
    context.log.info("%d samples, %d chunks, passes %s", samples, separation.total, separation.passes)
    context.progress(LOADED_PERCENT, "Separating")
    written = _separate(separation, source, stems, parameters, (statistics, accelerator), context)
    metadata: dict[str, Any] = {
        "model": parameters.model,
        "device": context.device.value,
        "threads": threads,
        "chunks": separation.total,
        "demucs": version("demucs"),
        "torch": version("torch"),
        **accelerator.metadata(),
    }
    del separation, model
    accelerator.give_back()
    if parameters.model == UNTRAINED_MODEL:
        metadata["untrained"] = True
    context.progress(100, "Separated")
    return TaskResult(outputs=_outputs(stems, written, parameters), metadata=metadata)


def _measure_and_load(
    source: Path, samples: int, parameters: SeparateParameters, context: TaskContext
) -> tuple[Statistics, Any]:
    """The first pass over the file, while the model is loaded."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="measure") as pool:
        measuring = pool.submit(measure, source, samples, lambda: _check_stop(context))
        ahead = context.prepared
        if isinstance(ahead, LoadedModel) and fits(ahead, parameters, context.models_root):
            context.log.info("model %s was loaded ahead", parameters.model)
            model = ahead.model
        else:
            model = load_separator(parameters.model, context.models_root, context.device, parameters.seed).model
        return measuring.result(), model


def _choose(parameters: SeparateParameters, sources: list[str]) -> list[Stem]:
    try:
        return keep_stems(plan_stems(parameters.stems, sources), parameters.keep)
    except ValueError as error:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"Model '{parameters.model}': {error}.") from error


def _separate(
    separation: Separation,
    source: Path,
    stems: list[Stem],
    parameters: SeparateParameters,
    prepared: tuple[Statistics, Accelerator],
    context: TaskContext,
) -> list[WrittenStem]:
    """Read, separate and write, piece by piece. No file is left behind when it fails."""

    def on_chunk(done: int) -> None:
        _check_stop(context)
        percent = LOADED_PERCENT + (SEPARATED_PERCENT - LOADED_PERCENT) * done / separation.total
        context.progress(percent, f"Separated {done} of {separation.total} chunks")

    kind = FileKind(parameters.format, parameters.stored_bit_depth, parameters.sample_rate)
    paths = [context.work_dir / f"{stem.name}.{parameters.format}" for stem in stems]
    files = [StemFile(path, kind, separation.samples) for path in paths]
    with StemWriter(files) as writer, MixFile(source, separation.samples) as mix:
        for block in separation.blocks(mix, *prepared, on_chunk):
            if parameters.sum_to_mix:
                add_missing(block.sources, block.mix)
            writer.put([sum_of(stem, separation.sources, block.sources) for stem in stems])
        return writer.finish()


def _outputs(stems: list[Stem], written: list[WrittenStem], parameters: SeparateParameters) -> list[TaskOutput]:
    media_type = MEDIA_TYPES[parameters.format]
    return [
        TaskOutput(name=stem.name, path=file.path, media_type=media_type, metadata=file.metadata())
        for stem, file in zip(stems, written, strict=True)
    ]


def _check_stop(context: TaskContext) -> None:
    if context.cancelled.is_set():
        raise stopped()


def _source(inputs: Mapping[str, TaskInput]) -> Path:
    given = inputs.get("audio")
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Separate needs an input file named 'audio'.")
    return given.path
