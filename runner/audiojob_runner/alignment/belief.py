"""How far what was heard is believed: by how much better it fits than words that cannot be there."""

from __future__ import annotations

from typing import Final

from audiojob_runner.alignment.features import FRAMES_PER_SECOND
from audiojob_runner.alignment.plan import Placed
from audiojob_runner.alignment.warp import Heard, Match

FRAME_MILLISECONDS: Final = 1_000 // FRAMES_PER_SECOND
# Of songs with the right words lines have margins of 0.1 to 0.25, in loud music too; with wrong words -0.06 to 0.06,
# and 0 on average: bench/karaoke/align.py.
LEAST_MARGIN, _SURE_MARGIN = 0.05, 0.18
_MOST: Final = 0.99  # 1 is what somebody has written down
_LEAST: Final = 0.3  # more than words have that are spread over their line
# A word that costs this much more than its line is not there.
_WORD_RANGE: Final = 1.0
# How far a word may be from where it were if all letters took equally long.
_FARTHEST_MILLISECONDS: Final = 1_000
_FARTHEST_SHARE: Final = 0.2


def believed(match: Match, usual: float, start: int, end: int) -> list[Placed] | None:
    """The words between two times in milliseconds; None where they were not heard.

    ``usual`` is the mean margin of the song: one line says little, and the words of a song are all right or all wrong.
    """
    margin = (match.margin + usual) / 2
    if margin < LEAST_MARGIN or _stray(match.words):
        return None
    line = min(1.0, margin / _SURE_MARGIN)
    return [
        Placed(
            min(end, start + each.start * FRAME_MILLISECONDS),
            min(end, start + each.end * FRAME_MILLISECONDS),
            _confidence(line, each.cost - match.cost),
        )
        for each in match.words
    ]


def _confidence(line: float, excess: float) -> float:
    return min(_MOST, max(_LEAST, line * (1 - max(0.0, excess) / _WORD_RANGE)))


def _stray(words: tuple[Heard, ...]) -> bool:
    """Whether a word is far from where it were by what all words take to say."""
    begin, whole = words[0].start, words[-1].end - words[0].start
    said = sum(each.spoken for each in words)
    limit = max(_FARTHEST_MILLISECONDS / FRAME_MILLISECONDS, whole * _FARTHEST_SHARE)
    before = 0
    for each in words:
        if abs(each.start - begin - whole * before / said) > limit:
            return True
        before += each.spoken
    return False
