"""Transcode: converts audio or video to another format, with tags, cover and chapters where the format has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import soundfile

from audiojob_runner.cpus import usable_cpus
from audiojob_runner.errors import PhaseError
from audiojob_runner.media import ffmpeg
from audiojob_runner.media import probe as media
from audiojob_runner.media.examine import examine_file, examine_streams, explained
from audiojob_runner.media.ffmpeg import FfmpegError, WavRequest
from audiojob_runner.media.ffmpeg_encode import (
    COPY,
    CoverError,
    EncodeRequest,
    EncodeStream,
    StreamKind,
    audio_filters,
    encode,
)
from audiojob_runner.media.films import first_film
from audiojob_runner.media.lengths.streamed import readable
from audiojob_runner.media.levels.clipping import find_clipping
from audiojob_runner.media.levels.loudness import Loudness, LoudnessRequest, measure, sample_peak
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.streams import MediaFile
from audiojob_runner.media.tags.found import flat
from audiojob_runner.media.transcoding import Plan, plan
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.transcode import TranscodeParameters

MEASURING_PERCENT: Final = 30.0
LEAST_SECONDS: Final = 0.1


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` (any file) to output ``media``. What could not be kept is in the metadata's ``warnings``."""
    assert isinstance(parameters, TranscodeParameters)
    given = inputs.get("source")
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Transcode needs an input file named 'source'.")
    with readable(given.path, context.work_dir) as source:
        return _Transcoding(source, given.metadata, parameters, context).run()


class _Transcoding:
    """One run: its source, and what is known of it."""

    def __init__(
        self, source: Path, about: Mapping[str, Any], parameters: TranscodeParameters, context: TaskContext
    ) -> None:
        self._source = source
        self._about = about
        self._parameters = parameters
        self._context = context
        self._max_seconds = min(
            parameters.max_duration_seconds, context.limits.max_duration_seconds or parameters.max_duration_seconds
        )
        self._last_position = 0.0

    def run(self) -> TaskResult:
        context = self._context
        context.progress(0, "Reading the source")
        found, sound = examine_file(self._source, context.cancelled)
        context.log.info("source: %s", found)
        self._check_length(found, sound)
        # Whatever cannot be done is refused before the first pass over the sound.
        made = plan(self._source, found, sound, self._parameters)
        loudness = self._measure(sound, made)
        target_lufs = self._parameters.loudness_lufs
        if sound is not None and loudness is not None and target_lufs is not None:
            gain = loudness.gain(target_lufs)
            made = plan(self._source, found, sound, self._parameters, gain)
            made = replace(made, warnings=made.warnings + _loudness_warnings(loudness, gain, target_lufs))
        target = context.work_dir / f"media.{made.container.name}"
        made = self._encode(made, target, _seconds(found, sound), MEASURING_PERCENT if loudness else 0.0)
        result = self._checked(target, found, sound)
        made = self._with_clipping(made, target, sound)
        context.progress(100, "Converted")
        return self._result(target, made, (found, sound, result), loudness)

    def _check_length(self, found: MediaFile, sound: MediaInfo | None) -> None:
        info = sound or _film_info(found)
        if info is not None:
            media.check_length(info, self._max_seconds)

    def _measure(self, sound: MediaInfo | None, made: Plan) -> Loudness | None:
        """The loudness in the channels that are written: one channel on two sides is louder than on one."""
        if sound is None or self._parameters.loudness_lufs is None:
            return None
        try:
            return measure(
                self._sound_of(sound, made),
                self._reporter("Measured", sound.duration_seconds, 0, MEASURING_PERCENT),
                self._context.cancelled,
            )
        except FfmpegError as error:
            raise self._explained(error) from error

    def _sound_of(self, sound: MediaInfo, made: Plan) -> LoudnessRequest:
        """The sound as the plan has it, for a measurement."""
        stream = next(stream for stream in made.streams if _is_sound(stream))
        seconds = self._max_seconds + 1
        return LoudnessRequest(
            self._source, sound.demuxer, sound.stream_index, seconds, audio_filters(stream), sound.timing
        )

    def _with_clipping(self, made: Plan, target: Path, sound: MediaInfo | None) -> Plan:
        """The plan, with a warning if samples were cut off."""
        stream = next((stream for stream in made.streams if _is_sound(stream)), None)
        if sound is None or stream is None or stream.codec == COPY:
            return made
        rate, channels = stream.sample_rate or sound.sample_rate, stream.channels or sound.channels

        def peak() -> float:
            return sample_peak(self._sound_of(sound, made), rate, self._context.cancelled)

        try:
            clipped = find_clipping(target, sound, rate, channels, peak)
        except FfmpegError as error:
            raise self._explained(error) from error
        return made if clipped is None else replace(made, warnings=(*made.warnings, clipped.warning))

    def _encode(self, made: Plan, target: Path, seconds: float | None, start: float) -> Plan:
        request = EncodeRequest(
            streams=made.streams,
            target=target,
            container=made.container.name,
            # One second more than allowed, so that a source without a stated length shows that it is too long.
            max_seconds=self._max_seconds + 1,
            max_bytes=self._parameters.max_bytes,
            tags=made.tags,
            chapters=made.chapters,
            threads=usable_cpus(),
        )
        report = self._reporter("Converted", seconds, start, 99)
        try:
            try:
                encode(request, report, self._context.cancelled)
                return made
            except CoverError as error:
                self._context.log.warning("cover: %s", error)
                streams = tuple(stream for stream in made.streams if stream.kind is not StreamKind.COVER)
                encode(replace(request, streams=streams), report, self._context.cancelled)
                warning = "The cover was left out: it cannot be read."
                return replace(made, streams=streams, warnings=(*made.warnings, warning))
        except FfmpegError as error:
            raise self._explained(error) from error

    def _checked(self, target: Path, found: MediaFile, sound: MediaInfo | None) -> MediaFile:
        """What came out, held against what the source said. Raises :class:`PhaseError` for what is cut off."""
        try:
            result = self._read_back(target, sound)
            seconds = _result_seconds(result) or self._last_position
            if seconds > self._max_seconds + 0.1:
                raise media.too_long(self._max_seconds)
            info = sound or _film_info(found)
            if info is not None:
                media.check_decoded(info, seconds)
        except PhaseError:
            target.unlink(missing_ok=True)
            raise
        return result

    def _read_back(self, target: Path, sound: MediaInfo | None) -> MediaFile:
        try:
            return examine_streams(target, self._context.cancelled)
        except PhaseError as error:
            if error.exit_code != ExitCode.NOT_MEDIA:
                raise
            # Coded sound begins with padding; from next to nothing some encoders write a file of padding alone.
            if sound is not None and self._decoded_seconds(sound) < LEAST_SECONDS:
                raise PhaseError(
                    ExitCode.NOT_MEDIA,
                    Reason.EMPTY_MEDIA,
                    f"The source has less than {LEAST_SECONDS} seconds of audio, too little for "
                    f"format {self._parameters.format}.",
                ) from error
            raise PhaseError(
                ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "The result was written but cannot be read."
            ) from error

    def _decoded_seconds(self, sound: MediaInfo) -> float:
        """How much sound there really is, up to a second."""
        scratch = self._context.work_dir / "short.wav"
        request = WavRequest(self._source, scratch, sound.demuxer, sound.stream_index, "anull", max_seconds=1)
        try:
            ffmpeg.decode_to_wav(request, lambda _: None, self._context.cancelled)
            info = soundfile.info(scratch)
            return float(info.frames / info.samplerate)
        except FfmpegError as error:
            raise self._explained(error) from error
        except soundfile.LibsndfileError:
            return 0.0
        finally:
            scratch.unlink(missing_ok=True)

    def _reporter(self, verb: str, seconds: float | None, low: float, high: float) -> Callable[[float], None]:
        """Converts ffmpeg's position to percent of this part; without a known length only the position is reported."""

        def report(position: float) -> None:
            self._last_position = position
            message = f"{verb} {position:.0f} s" + (f" of {seconds:.0f} s" if seconds else "")
            share = min(1.0, position / seconds) if seconds else 0.0
            self._context.progress(low + (high - low) * share, message)

        return report

    def _explained(self, error: FfmpegError) -> PhaseError:
        self._context.log.warning("ffmpeg: %s", error)
        return explained(error, self._source)

    def _result(
        self,
        target: Path,
        made: Plan,
        files: tuple[MediaFile, MediaInfo | None, MediaFile],
        loudness: Loudness | None,
    ) -> TaskResult:
        found, sound, result = files
        seconds = _result_seconds(result) or self._last_position
        # Publish names files by these: what the file says of itself, else what its page said.
        metadata: dict[str, Any] = {
            name: str(self._about[name]) for name in ("title", "artist", "album", "date") if self._about.get(name)
        }
        metadata |= {**flat(result.tags), "durationSeconds": round(seconds, 3)}
        if result.sound is not None:
            metadata |= {"sampleRate": result.sound.sample_rate, "channels": result.sound.channels}
        film = first_film(result)
        if film is not None:
            metadata |= {"width": film.width, "height": film.height}
        source: dict[str, Any] = {"container": found.demuxer, "video": bool(found.films)}
        if sound is not None:
            source |= {"codec": sound.codec, "sampleRate": sound.sample_rate, "channels": sound.channels}
        run_metadata: dict[str, Any] = {
            "source": source,
            "copied": [stream.kind.value for stream in made.streams if stream.codec == COPY and _is_sound(stream)],
            "warnings": list(made.warnings),
            "ffmpeg": ffmpeg.version(),
        }
        if loudness is not None and not loudness.silent:
            run_metadata["loudness"] = {"beforeLufs": loudness.integrated, "beforePeakDecibels": loudness.true_peak}
        media_type = made.container.media_type
        return TaskResult([TaskOutput("media", target, media_type, metadata)], run_metadata)


def _is_sound(stream: EncodeStream) -> bool:
    return stream.kind is StreamKind.AUDIO


def _loudness_warnings(loudness: Loudness, gain: float, target: float) -> tuple[str, ...]:
    if loudness.unmeasured:
        return ("The level was left as it is: the sound is too short or too quiet to be measured.",)
    if loudness.silent:
        return ("The level was left as it is: there is only silence.",)
    reached = loudness.integrated + gain
    if reached < target - 0.05:
        return (f"The loudness is {reached:.1f} LUFS and not {target} LUFS: its peaks would have been cut off.",)
    return ()


def _seconds(found: MediaFile, sound: MediaInfo | None) -> float | None:
    """How long the source says it plays."""
    if sound is not None and sound.duration_seconds is not None:
        return sound.duration_seconds
    return found.duration_seconds


def _result_seconds(result: MediaFile) -> float:
    known = [stream.duration_seconds for stream in result.sounds]
    known += [stream.duration_seconds for stream in result.films]
    return max([seconds for seconds in known if seconds is not None] or [result.duration_seconds or 0.0])


def _film_info(found: MediaFile) -> MediaInfo | None:
    """A film without sound, as what its decoded length can be held against."""
    film = first_film(found)
    if film is None:
        return None
    exact = found.demuxer in media.EXACT_LENGTH and film.duration_seconds is not None
    return MediaInfo(found.demuxer, film.codec, film.index, 0, 0, film.duration_seconds, exact, True)
