"""The media that scenes name: looked at before any work, decoded once each, and refused with the scene's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from audiojob_runner.compose.commands import Clip
from audiojob_runner.compose.frame import SAMPLE_RATE
from audiojob_runner.compose.pictures import Picture, PictureError, prepare
from audiojob_runner.compose.plan import Lengths, milliseconds_of
from audiojob_runner.compose.scenes import bad_scenes, named_inputs
from audiojob_runner.errors import PhaseError
from audiojob_runner.media import probe
from audiojob_runner.media.decoding import write_wav
from audiojob_runner.media.examine import examine_file, examine_sound
from audiojob_runner.media.ffmpeg import WavRequest
from audiojob_runner.media.ffmpeg_encode import EncodeStream, StreamKind, audio_filters
from audiojob_runner.media.films import check_film, first_film
from audiojob_runner.media.lengths.decoded import decoded_samples
from audiojob_runner.media.lengths.streamed import readable
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.task import TaskContext, TaskInput
from audiojob_types.contract import ExitCode
from audiojob_types.documents.scenes import MAX_MILLISECONDS, Scene, SceneList
from audiojob_types.reasons import Reason

MAX_SECONDS: Final = MAX_MILLISECONDS // 1_000
MAX_CLIP_SECONDS: Final = 86_400
_SAVE_ANEW: Final = "Open it in a picture editor, and save it as JPEG, PNG or WebP."
SOUND, CLIP, PICTURE = "sound", "clip", "picture"
_KINDS: Final = {"narration": SOUND, "input": SOUND, "picture": PICTURE, "clip": CLIP}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Sound as a WAV file of 48 kHz and two channels."""

    path: Path
    samples: int


@dataclass(frozen=True, slots=True)
class Media:
    """All that the scenes name, by input."""

    sounds: Mapping[str, Decoded]
    pictures: Mapping[str, Picture]
    clips: Mapping[str, tuple[Clip, int | None]]
    clip_sounds: Mapping[tuple[str, int], Decoded] = field(default_factory=dict)  # by input and milliseconds

    @property
    def lengths(self) -> Lengths:
        """How long what is decoded and what is looked at plays."""
        return Lengths(
            {name: milliseconds_of(sound.samples) for name, sound in self.sounds.items()},
            {name: milliseconds for name, (_, milliseconds) in self.clips.items()},
        )


def read_media(
    scenes: SceneList, inputs: Mapping[str, TaskInput], context: TaskContext, share: Callable[[float], None]
) -> Media:
    """Look at all media and decode what is said. Raises :class:`PhaseError` with the scene's number."""
    sounds, pictures, clips = dict[str, Decoded](), dict[str, Picture](), dict[str, tuple[Clip, int | None]]()
    clip_sounds = dict[tuple[str, int], Decoded]()
    uses = list(named_inputs(scenes))
    wanted = {(_KINDS[field], name): (place, field) for place, field, name in reversed(uses)}
    for number, ((kind, name), (place, called)) in enumerate(wanted.items()):
        with named(place, called, name):
            path = _file_of(inputs[name])
            target = context.work_dir / f"{kind}-{number:03}"
            if kind == PICTURE:
                pictures[name] = prepare(path, target)
            elif kind == CLIP:
                clips[name] = _look_at_clip(path, context)
            else:
                sounds[name] = _decode(path, target, context)
        share((number + 1) / len(wanted))
    for number, scene in enumerate(scenes.scenes, 1):
        key = (scene.clip or "", scene.clip_start_milliseconds)
        if scene.clip is not None and scene.clip_sound_decibels is not None and key not in clip_sounds:
            with named(f"Scene {number}", "clip", scene.clip):
                target = context.work_dir / f"heard-{number:03}"
                clip_sounds[key] = _decode(clips[scene.clip][0].path, target, context, key[1] / 1_000)
    return Media(sounds, pictures, clips, clip_sounds)


@contextmanager
def named(place: str, called: str, name: str) -> Iterator[None]:
    """Errors about a medium get the scene's number and the input's name."""
    try:
        yield
    except PictureError as error:
        raise PhaseError(
            ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, f"{place}: {called} {name!r} {error}.", _SAVE_ANEW
        ) from error
    except PhaseError as error:
        if error.exit_code != ExitCode.NOT_MEDIA:
            raise
        words = error.message.removeprefix("The source").removeprefix("'s")
        told = (
            f"{place}: {called} {name!r}{words}" if words != error.message else f"{place}: {called} {name!r}: {words}"
        )
        raise PhaseError(error.exit_code, error.reason, told, error.suggestion) from error


def _file_of(given: TaskInput) -> Path:
    if given.path is None:
        raise bad_scenes(
            f"Compose takes files, but input {given.name!r} is an address.",
            "Add a Download phase before it, and name that phase's output.",
        )
    return given.path


def _look_at_clip(path: Path, context: TaskContext) -> tuple[Clip, int | None]:
    found, _ = examine_file(path, context.cancelled)
    film = first_film(found)
    if film is None:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "The source has no film.",
            "Sound is named as narration or music.",
        )
    check_film(film)
    seconds = film.duration_seconds if film.duration_seconds is not None else found.duration_seconds
    return Clip(path, found.demuxer, film.index, film.codec, 0.0), None if seconds is None else int(seconds * 1_000)


def _decode(path: Path, target: Path, context: TaskContext, start_seconds: float = 0.0) -> Decoded:
    """The sound as WAV. Raises :class:`PhaseError`."""
    with readable(path, context.work_dir) as source:
        info = examine_sound(source, context.cancelled)
        if not start_seconds:
            probe.check_length(info, MAX_SECONDS)
        filters = _filters(source, info)
        if start_seconds:
            filters += f",atrim=start={start_seconds:.3f},asetpts=PTS-STARTPTS"
        request = WavRequest(
            source, target, info.demuxer, info.stream_index, filters, MAX_SECONDS + 1, SAMPLE_RATE, 2, info.timing
        )
        write_wav(request, context)
    samples = decoded_samples(target)
    if not start_seconds:
        probe.check_decoded(info, samples / SAMPLE_RATE)
        if samples > MAX_SECONDS * SAMPLE_RATE:
            raise probe.too_long(MAX_SECONDS)
    return Decoded(target, samples)


def _filters(source: Path, info: MediaInfo) -> str:
    stream = EncodeStream(
        source, info.demuxer, info.stream_index, StreamKind.AUDIO, info.codec, "pcm_s16le",
        channels=2, source_channels=info.channels, timing=info.timing,
    )  # fmt: skip
    return audio_filters(stream)


def clip_of(scene: Scene, media: Media) -> Clip:
    """The scene's clip from where the scene begins in it."""
    assert scene.clip is not None
    clip, _ = media.clips[scene.clip]
    return Clip(clip.path, clip.demuxer, clip.index, clip.codec, scene.clip_start_milliseconds / 1_000)
