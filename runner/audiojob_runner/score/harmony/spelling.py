"""Names of pitches by the key: a window of twelve neighbours on the line of fifths."""

from __future__ import annotations

from typing import Final

from audiojob_runner.score.model import KEYS_OF_STEPS, Key, Mode, Pitch, Step

_LINE: Final[tuple[Step, ...]] = ("F", "C", "G", "D", "A", "E", "B")
_CLASSES: Final = 12
# C major has E flat to G sharp, A minor B flat to D sharp: counted in fifths from the key signature's C.
_WINDOW: Final = {Mode.MAJOR: -3, Mode.MINOR: -2}
_SCALE: Final = range(-1, 6)
_RAISED_OF_MINOR: Final = (6, 8)  # the raised sixth and seventh, F sharp and G sharp in A minor
_MOST_ALTERED: Final = 2


class Speller:
    """Spells pitches in one key. A note off the scale that goes on by a semitone is spelled by its direction."""

    def __init__(self, key: Key) -> None:
        low = key.fifths + _WINDOW[key.mode]
        self._names = {fifth * 7 % _CLASSES: fifth for fifth in range(low, low + _CLASSES)}
        own = [*_SCALE, *(_RAISED_OF_MINOR if key.mode is Mode.MINOR else ())]
        self._of_scale = {(key.fifths + fifth) * 7 % _CLASSES for fifth in own}

    def pitch(self, key: int, following: int | None = None) -> Pitch:
        """The pitch of a MIDI key. ``following``: the key that its line goes on with."""
        fifth = self._names[key % _CLASSES]
        if following is not None and key % _CLASSES not in self._of_scale and abs(following - key) == 1:
            step_of_next = (self._names[following % _CLASSES] + 1) % 7
            others = (fifth, fifth + _CLASSES, fifth - _CLASSES)
            # A semitone to the neighbouring step, not to the same one with another sign.
            near = [each for each in others if (each + 1) % 7 != step_of_next and _altered(each) <= 1]
            fifth = next(iter(near), fifth)
        return pitch_of(fifth, key)


def pitch_of(fifth: int, key: int) -> Pitch:
    """The pitch with a name of the line of fifths, of which C is 0, nearest to a MIDI key."""
    step, alter = _LINE[(fifth + 1) % 7], (fifth + 1) // 7
    return Pitch(step, alter, (key - alter - KEYS_OF_STEPS[step]) // _CLASSES - 1)


def _altered(fifth: int) -> int:
    return abs((fifth + 1) // 7)
