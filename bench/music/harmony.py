"""Keys, scales and chords that the pieces are written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["major", "minor"]

_SCALES: Final = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Scale degrees of bars, 0 is the tonic: whatever comes before, a piece ends V-I or IV-I.
LOOPS: Final = {
    "major": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 1, 4, 0), (0, 2, 3, 4), (5, 3, 0, 4)),
    "minor": ((0, 3, 4, 0), (0, 5, 2, 6), (0, 6, 5, 4), (0, 3, 6, 2), (5, 6, 0, 0), (0, 4, 5, 3)),
}
_DOMINANT: Final = 4


@dataclass(frozen=True)
class Key:
    """A key: its tonic, 0 to 11 from C, and whether it is major or minor."""

    tonic: int
    mode: Mode

    def pitch(self, degree: int) -> int:
        """The pitch of a scale degree, as semitones above a C; degrees go on above the octave."""
        octave, step = divmod(degree, 7)
        return self.tonic + 12 * octave + _SCALES[self.mode][step]

    def chord(self, degree: int, size: int = 3) -> tuple[int, ...]:
        """Thirds on a degree; the dominant of a minor key has the leading note."""
        tones = [self.pitch(degree + 2 * step) for step in range(size)]
        if self.mode == "minor" and degree == _DOMINANT:
            tones[1] += 1
        return tuple(tones)

    def nearest(self, pitch: float, chord: tuple[int, ...] | None = None) -> int:
        """The note of the scale, or of the chord, that is nearest to a MIDI pitch."""
        classes = {tone % 12 for tone in chord or [self.pitch(degree) for degree in range(7)]}
        near = (round(pitch) + step for step in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6))
        return next(candidate for candidate in near if candidate % 12 in classes)
