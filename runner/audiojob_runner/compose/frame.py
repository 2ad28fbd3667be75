"""The film's frame: how large its pictures are and how many of them a second has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_types.tasks.compose import SHAPES, ComposeParameters

SAMPLE_RATE: Final = 48_000
_SHORT_SIDES: Final = {"Video1080p": 1_080, "Video720p": 720, "Video480p": 480, "Video360p": 360, "Video180p": 180}


@dataclass(frozen=True, slots=True)
class Frame:
    """Both sides are even, as H.264 wants them."""

    width: int
    height: int
    fps: int

    def frames(self, milliseconds: int) -> int:
        """Where in the film a time is, in pictures. Times of a film are rounded from its beginning, so that no rounding
        adds up."""
        return (milliseconds * self.fps + 500) // 1_000

    def samples(self, frames: int) -> int:
        """The same place in the sound."""
        return (frames * SAMPLE_RATE + self.fps // 2) // self.fps

    def seconds(self, frames: int) -> float:
        """The same place in seconds."""
        return frames / self.fps


def frame_of(parameters: ComposeParameters) -> Frame:
    """The frame that the parameters ask for."""
    short = _SHORT_SIDES[parameters.size]
    long = (short * 16 // 9 + 1) // 2 * 2
    shape = SHAPES[parameters.platform] if parameters.platform is not None else parameters.shape or "Landscape"
    width, height = {"Landscape": (long, short), "Portrait": (short, long), "Square": (short, short)}[shape]
    return Frame(width, height, parameters.frames_per_second)
