"""Label values that others choose, kept to so many."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

OTHER: Final = "other"


class Bounded:
    """The first so many sets of label values get their own series; all others share one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[tuple[str, ...]] = set()

    def forget_all_but(self, present: Collection[tuple[str, ...]]) -> None:
        """Make room: sets that do not exist any more need no series."""
        self._known.intersection_update(present)

    def labels(self, *values: str) -> tuple[str, ...]:
        """The values, or `other` for each of them."""
        if values not in self._known:
            if len(self._known) >= self._most:
                return (OTHER,) * len(values)
            self._known.add(values)
        return values
