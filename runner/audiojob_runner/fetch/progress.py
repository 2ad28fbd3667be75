"""One percentage for all parts of a download and their processing. It never decreases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MAX_PERCENT = 100.0


class Percentage:
    """``weights`` are those of the parts, in any unit; ``finish_share`` (0-1) is kept for merging and converting."""

    def __init__(self, weights: Sequence[float], finish_share: float, report: Callable[[float, str], None]) -> None:
        total = sum(weights) or 1.0
        self._shares = [weight / total * (1 - finish_share) for weight in weights]
        self._finish_share = finish_share
        self._report = report
        self._highest = 0.0

    def part(self, index: int, fraction: float, message: str) -> None:
        """How much (0-1) of one part is downloaded; the parts before it are complete."""
        self._say(sum(self._shares[:index]) + self._shares[index] * _bounded(fraction), message)

    def finish(self, fraction: float, message: str) -> None:
        """How much (0-1) is done of what comes after the last part."""
        self._say(1 - self._finish_share * (1 - _bounded(fraction)), message)

    def _say(self, share: float, message: str) -> None:
        self._highest = max(self._highest, min(MAX_PERCENT, MAX_PERCENT * share))
        self._report(self._highest, message)


def _bounded(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))
