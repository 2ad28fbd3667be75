"""What the doctor says: one line for each thing looked at, with the way out where something is wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EXIT_WELL: Final = 0
EXIT_FAULTS: Final = 1

_WIDTH: Final = 110
_LEVEL_WIDTH: Final = 7


class Level(StrEnum):
    """How bad it is. Only a fault keeps jobs from ending well."""

    OK = "ok"
    NOTE = "note"
    UNSEEN = "unseen"  # could not be looked at
    WARNING = "warning"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``about``: a namespace or a part; ``way_out`` is empty where there is nothing to do."""

    level: Level
    about: str
    text: str
    way_out: str = ""


def ok(about: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, about, text)


def note(about: str, text: str, way_out: str = "") -> Finding:
    """Nothing is wrong; somebody may want it otherwise."""
    return Finding(Level.NOTE, about, text, way_out)


def unseen(about: str, text: str, way_out: str = "") -> Finding:
    """Could not be looked at, so nothing is known of it."""
    return Finding(Level.UNSEEN, about, text, way_out)


def warning(about: str, text: str, way_out: str) -> Finding:
    """Jobs run, but slower, blind, or not all of them."""
    return Finding(Level.WARNING, about, text, way_out)


def fault(about: str, text: str, way_out: str) -> Finding:
    """Jobs do not run, or do not end well, until it is mended."""
    return Finding(Level.FAULT, about, text, way_out)


def exit_code(findings: Iterable[Finding]) -> int:
    """1 if there is a fault, else 0."""
    return EXIT_FAULTS if any(finding.level is Level.FAULT for finding in findings) else EXIT_WELL


def render(findings: Iterable[Finding]) -> str:
    """The report as text, in the order given; its last line counts what was found."""
    found = list(findings)
    lines: list[str] = []
    for finding in found:
        lines += _wrapped(f"{finding.level:<{_LEVEL_WIDTH}}  ", f"{finding.about}: {finding.text}")
        if finding.way_out:
            lines += _wrapped(" " * (_LEVEL_WIDTH + 2) + "-> ", finding.way_out)
    counts = [(level, sum(finding.level is level for finding in found)) for level in Level]
    summary = ", ".join(f"{count} {level.lower()}" for level, count in reversed(counts) if count)
    return "\n".join([*lines, "", f"{len(found)} checks: {summary}"])


def _wrapped(head: str, text: str) -> list[str]:
    # Commands and names are copied from here: they are never broken.
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
