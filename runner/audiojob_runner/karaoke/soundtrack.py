"""What is heard: accompaniment, perhaps with the voice in it, as one exact file of known loudness."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audiojob_runner.errors import PhaseError
from audiojob_runner.karaoke.sources import of_input, unwritten
from audiojob_runner.media import probe as media
from audiojob_runner.media.examine import examine_sound, explained
from audiojob_runner.media.ffmpeg import FfmpegError
from audiojob_runner.media.lengths.decoded import decoded_samples
from audiojob_runner.media.levels.loudness import Loudness, LoudnessRequest, measure
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.rendering.mix import MixRequest, mix

SOUND_INPUT, VOCALS_INPUT = "accompaniment", "vocals"
Reporter = Callable[[str, float | None], Callable[[float], None]]


@dataclass(frozen=True, slots=True)
class Guide:
    """The voice, and how loud it is mixed in."""

    path: Path
    decibels: float


@dataclass(frozen=True, slots=True)
class Soundtrack:
    """The file, its length to the sample, and its loudness as it is."""

    path: Path
    samples: int
    rate: int
    loudness: Loudness

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return self.samples / self.rate

    @property
    def milliseconds(self) -> int:
        """The same, in whole milliseconds that are played."""
        return self.samples * 1_000 // self.rate

    def frames(self, fps: int) -> int:
        """Pictures until the sound has ended."""
        return -(-self.samples * fps // self.rate)

    def warnings(self, target: float) -> list[str]:
        """What of a wanted loudness cannot be had."""
        if self.loudness.unmeasured:
            return ["The level was left as it is: the sound is too short or too quiet to be measured."]
        if self.loudness.silent:
            return ["The accompaniment is silent."]
        reached = self.loudness.integrated + self.loudness.gain(target)
        if reached < target - 0.05:
            return [f"The loudness is {reached:.1f} LUFS and not {target} LUFS: its peaks would have been cut off."]
        return []


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes it in a folder, at a sample rate; refuses what plays longer than ``limit`` seconds.

    ``report(verb, seconds)`` gives what takes positions.
    """

    folder: Path
    rate: int
    limit: int
    report: Reporter
    cancelled: threading.Event

    def make(self, source: Path, guide: Guide | None) -> Soundtrack:
        """The soundtrack. Raises :class:`PhaseError`."""
        info = self._examined(source, SOUND_INPUT)
        second = None
        if guide is not None:
            second = (guide.path, self._examined(guide.path, VOCALS_INPUT), guide.decibels)
        target = self.folder / "sound.wav"
        try:
            media.check_length(info, self.limit)
            # One second more than allowed, so that a source without a stated length shows that it is too long.
            request = MixRequest(source, info, target, self.rate, self.limit + 1, second)
            self._mix(request, source)
            samples = decoded_samples(target)
            if samples > self.limit * self.rate:
                raise media.too_long(self.limit)
            media.check_decoded(info, samples / self.rate)
        except PhaseError as error:
            raise of_input(error, SOUND_INPUT) from error
        return Soundtrack(target, samples, self.rate, self._measure(target, samples / self.rate))

    def _examined(self, path: Path, name: str) -> MediaInfo:
        try:
            return examine_sound(path, self.cancelled)
        except PhaseError as error:
            raise of_input(error, name) from error

    def _mix(self, request: MixRequest, source: Path) -> None:
        try:
            mix(request, self.report("Read", request.info.duration_seconds), self.cancelled)
        except FfmpegError as error:
            raise explained(error, source) from error

    def _measure(self, sound: Path, seconds: float) -> Loudness:
        try:
            request = LoudnessRequest(sound, "wav", 0, int(seconds) + 1)
            return measure(request, self.report("Measured", seconds), self.cancelled)
        except FfmpegError as error:
            raise unwritten(error) from error
