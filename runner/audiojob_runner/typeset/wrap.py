"""Texts without times in rows that fit: those on pictures, titles and ends."""

from __future__ import annotations

from audiojob_runner.typeset.clusters import clusters
from audiojob_runner.typeset.fonts import Fonts


def wrapped(line: str, width: float, fonts: Fonts) -> list[str]:
    """The line in rows of at most so many ems, cut between words, and within a word only where it is longer."""
    found, current = list[str](), ""
    for word in line.split(" "):
        longer = f"{current} {word}" if current else word
        if fonts.width(longer) <= width:
            current = longer
            continue
        if current:
            found.append(current)
        current = ""
        for cluster in clusters(word):
            if current and fonts.width(current + cluster) > width:
                found.append(current)
                current = ""
            current += cluster
    return [*found, current] if current else found
