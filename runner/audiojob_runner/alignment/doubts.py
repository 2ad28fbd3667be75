"""What is unsure about the times, for people: warnings, and whether somebody should look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_runner.alignment.align import Aligned

# Fewer guesses than this among the words that had no times are corrected in passing, or not seen at all.
_MANY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Doubts:
    """Sentences, and the question to people where they should look."""

    warnings: tuple[str, ...] = ()
    question: str | None = None


def doubts_of(aligned: Aligned, silent: bool) -> Doubts:
    """What to tell people about the times. Lines whose times were found, not given, are always to be looked at."""
    sought = aligned.found + aligned.spread
    warnings = list[str]()
    if aligned.spread:
        because = ", as they are silent" if silent else ""
        warnings.append(
            f"AlignmentPoor: {aligned.spread} of {sought} words without times were not recognised in the vocals"
            f"{because}; they are spread evenly."
        )
    question = None
    if aligned.spread > sought * _MANY:
        question = f"{aligned.spread} of {sought} words were not recognised in the vocals. Are they in time?"
    elif aligned.searched:
        lines = len(aligned.lines)
        question = f"{aligned.searched} of {lines} lines had no times and were found by listening. Are they right?"
    return Doubts(tuple(warnings), question)
