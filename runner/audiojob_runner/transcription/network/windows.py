"""Which samples the network is shown at a time, and which of its frames are kept.

Frame ``k`` of the whole recording stands for the sample ``256 * k``: windows begin at whole frames, so no time drifts.
At both sides of a window the network sees too little; what it says of those frames is left to the neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

RATE: Final = 22_050
FRAME: Final = 256  # samples
FRAMES_A_SECOND: Final = RATE / FRAME
WINDOW: Final = 43_844  # samples that the network takes at a time
WINDOW_FRAMES: Final = 172
_DROPPED: Final = 15  # frames at each side
KEPT: Final = WINDOW_FRAMES - 2 * _DROPPED


@dataclass(frozen=True, slots=True)
class Window:
    """One window: where it begins, perhaps before the recording, and how many of its kept frames lie within it."""

    first_sample: int
    first_frame: int
    frames: int


def frames_of(samples: int) -> int:
    """How many frames a recording has."""
    return -(-samples // FRAME)


def windows_of(samples: int) -> Iterator[Window]:
    """The windows of a recording, in order; together they keep each of its frames once."""
    total = frames_of(samples)
    for first in range(0, total, KEPT):
        yield Window((first - _DROPPED) * FRAME, first, min(KEPT, total - first))


def kept(window: Window) -> slice:
    """The frames of the network's answer that the window keeps."""
    return slice(_DROPPED, _DROPPED + window.frames)
