"""Listens to lines for their words, as a voice says them that is as high as the singer's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.alignment.belief import FRAME_MILLISECONDS
from audiojob_runner.alignment.features import frames_of
from audiojob_runner.alignment.plan import Gap
from audiojob_runner.alignment.sound import RATE, Sound
from audiojob_runner.alignment.voice import Speaker
from audiojob_runner.alignment.warp import Match, find_words
from audiojob_types.documents.lyrics import Line, Word

# A line is sung in one breath or a few; what is longer holds more than its words.
LONGEST_MILLISECONDS: Final = 60_000
# By how much singers' throats are shorter than that of the voice, a man's: women's by a sixth, children's by more.
SCALES: Final = (1.0, 1.1, 1.2, 1.3, 0.9)
# Lines by which the scale of a singer is chosen.
_TRIED: Final = 8
_LEAST_WORDS: Final = 3
_SINGERS: Final = 8  # for others the voice is taken as it is


@dataclass(frozen=True, slots=True)
class Listener:
    """What is listened to, and who says the words; None: nobody can."""

    sound: Sound
    speaker: Speaker | None

    def can_hear(self, gap: Gap) -> bool:
        """Whether there is anything to compare."""
        length = gap.end - gap.start
        return (
            self.speaker is not None and not self.sound.silent and FRAME_MILLISECONDS < length <= LONGEST_MILLISECONDS
        )

    def hear(self, gap: Gap, words: Sequence[Word], scale: float) -> Match | None:
        """Where the words are between the times of the gap. Raises :class:`FfmpegError` where nobody says them."""
        if self.speaker is None or not self.can_hear(gap):
            return None
        spoken = self.speaker.say([word.text for word in words])
        sounding = [each for each in spoken if len(each)]
        if len(sounding) * 2 < len(spoken):
            return None
        match = find_words(frames_of(self.sound.read(gap.start, gap.end), RATE, scale), sounding)
        return match and match.with_silent([not len(each) for each in spoken])


def listen(
    gaps: Sequence[Gap], lines: Sequence[Line], listener: Listener, on_line: Callable[[int], None]
) -> Iterator[Match | None]:
    """Where the words of each gap are, as far as they are heard. ``on_line`` is told which line comes next."""
    scales = _scales(gaps, lines, listener, lambda: on_line(0))
    for gap in gaps:
        on_line(gap.line)
        yield listener.hear(gap, gap.of(lines), scales.get(lines[gap.line].voice, SCALES[0]))


def _scales(
    gaps: Sequence[Gap], lines: Sequence[Line], listener: Listener, on_try: Callable[[], None]
) -> Mapping[str | None, float]:
    """For each who sings the scale at which the words stand out most."""
    found = dict[str | None, float]()
    for voice in list(dict.fromkeys(line.voice for line in lines))[:_SINGERS]:
        tried = tried_gaps([gap for gap in gaps if lines[gap.line].voice == voice and listener.can_hear(gap)], lines)
        margins = dict[float, float]()
        for scale in SCALES if tried else ():
            on_try()
            matches = (listener.hear(gap, gap.of(lines), scale) for gap in tried)
            margins[scale] = sum(match.margin for match in matches if match is not None)
        found[voice] = max(margins, key=lambda scale: margins[scale], default=SCALES[0])
    return found


def tried_gaps(gaps: Sequence[Gap], lines: Sequence[Line]) -> list[Gap]:
    """A few from all of the song, of some words each, and none twice: choruses come again."""
    several = (gap for gap in gaps if gap.last - gap.first >= _LEAST_WORDS)
    different = list({lines[gap.line].text: gap for gap in several}.values())
    return different[:: -(-len(different) // _TRIED)] if different else []
