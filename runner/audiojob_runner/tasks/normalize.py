"""Normalize: converts any audio to what later phases read, 44.1 kHz stereo 16-bit WAV (RF64 above 4 GiB)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media import ffmpeg
from audiojob_runner.media import probe as media
from audiojob_runner.media.examine import examine_sound, explained
from audiojob_runner.media.ffmpeg import FfmpegError, WavRequest
from audiojob_runner.media.lengths.decoded import decoded_samples
from audiojob_runner.media.lengths.streamed import readable
from audiojob_runner.media.levels.clipping import find_clipping
from audiojob_runner.media.levels.loudness import LoudnessRequest, sample_peak
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.timing import timing_filters
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.normalize import NormalizeParameters

SAMPLE_RATE: Final = 44_100
CHANNELS: Final = 2


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` (any file) to output ``audio`` (``audio.wav``)."""
    assert isinstance(parameters, NormalizeParameters)
    with readable(_source(inputs), context.work_dir) as source:
        return _normalize(source, parameters, context)


def _normalize(source: Path, parameters: NormalizeParameters, context: TaskContext) -> TaskResult:
    max_seconds = min(
        parameters.max_duration_seconds,
        context.limits.max_duration_seconds or parameters.max_duration_seconds,
    )
    context.progress(0, "Reading the source")
    info = examine_sound(source, context.cancelled)
    media.check_length(info, max_seconds)
    context.log.info("source: %s", info)
    target = context.work_dir / "audio.wav"
    request = WavRequest(
        source=source,
        target=target,
        demuxer=info.demuxer,
        stream_index=info.stream_index,
        filters=sound_filters(info),
        # One second more than allowed, so that a source without a stated length shows that it is too long.
        max_seconds=max_seconds + 1,
        sample_rate=SAMPLE_RATE,
        channels=CHANNELS,
        timing=info.timing,
    )
    try:
        ffmpeg.decode_to_wav(request, _reporter(info, context), context.cancelled)
        warnings = _clipped(request, info, context)
    except FfmpegError as error:
        raise _explained(error, source, context) from error
    samples = decoded_samples(target)
    if samples > max_seconds * SAMPLE_RATE:
        raise media.too_long(max_seconds)
    media.check_decoded(info, samples / SAMPLE_RATE)
    context.progress(100, "Converted")
    metadata = _describe(info)
    if info.timing.past_end:
        warnings.append(media.PAST_END)
    if warnings:
        metadata["warnings"] = warnings
    return TaskResult(outputs=[_output(target, samples)], metadata=metadata)


def _clipped(made: WavRequest, info: MediaInfo, context: TaskContext) -> list[str]:
    """What was cut off, as a warning. Raises :class:`FfmpegError`."""
    request = LoudnessRequest(made.source, made.demuxer, made.stream_index, made.max_seconds, made.filters, made.timing)
    found = find_clipping(
        made.target, info, SAMPLE_RATE, CHANNELS, lambda: sample_peak(request, SAMPLE_RATE, context.cancelled)
    )
    return [found.warning] if found is not None else []


def _output(path: Path, samples: int) -> TaskOutput:
    return TaskOutput(
        name="audio",
        path=path,
        media_type="audio/wav",
        metadata={
            "durationSeconds": round(samples / SAMPLE_RATE, 6),
            "samples": samples,
            "sampleRate": SAMPLE_RATE,
            "channels": CHANNELS,
        },
    )


def _describe(info: MediaInfo) -> dict[str, Any]:
    return {
        "source": {
            "container": info.demuxer,
            "codec": info.codec,
            "sampleRate": info.sample_rate,
            "channels": info.channels,
            "video": info.has_video,
        },
        "ffmpeg": ffmpeg.version(),
    }


def sound_filters(info: MediaInfo) -> str:
    """The filter chain: what of the sound is played, and both sides of any layout."""
    mix = ffmpeg.channel_mix(info.channels, CHANNELS)
    return ",".join([*timing_filters(info.timing), *([mix] if mix else [])]) or "anull"


def _source(inputs: Mapping[str, TaskInput]) -> Path:
    given = inputs.get("source")
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Normalize needs an input file named 'source'.")
    return given.path


def _explained(error: FfmpegError, source: Path, context: TaskContext) -> PhaseError:
    context.log.warning("ffmpeg: %s", error)
    return explained(error, source)


def _reporter(info: MediaInfo, context: TaskContext) -> Callable[[float], None]:
    """Converts ffmpeg's position to percent; without a known length only the position is reported."""

    def report(position: float) -> None:
        message = f"Converted {position:.0f} s"
        if not info.duration_seconds:
            context.progress(0, message)
            return
        message += f" of {info.duration_seconds:.0f} s"
        context.progress(min(99.0, 100 * position / info.duration_seconds), message)

    return report
