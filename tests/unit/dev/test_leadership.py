"""How long nobody led, from what was seen of the Lease (bench/upgrades)."""

from __future__ import annotations

import pytest
from bench.upgrades.leadership import Seen, gaps

CASES: dict[str, tuple[list[Seen], list[float]]] = {
    "one leader that renews: never without": (
        [Seen(0, "a", "r1"), Seen(2, "a", "r2"), Seen(9, "a", "r3")],
        [],
    ),
    "given back and taken": (
        [Seen(0, "a", "r1"), Seen(2, "", "r1"), Seen(3, "", "r1"), Seen(5, "b", "r2")],
        [3.0],
    ),
    "not given back: from the last renewal": (
        [Seen(0, "a", "r1"), Seen(2, "a", "r2"), Seen(10, "a", "r2"), Seen(17, "b", "r3")],
        [15.0],
    ),
    "given back and taken by the same": ([Seen(0, "a", "r1"), Seen(2, "", "r1"), Seen(4, "a", "r2")], [2.0]),
    "nobody had it before: no gap yet": ([Seen(0, "", ""), Seen(2, "a", "r1")], []),
    "twice": (
        [Seen(0, "a", "r1"), Seen(1, "", "r1"), Seen(2, "b", "r2"), Seen(6, "", "r2"), Seen(8, "c", "r3")],
        [1.0, 2.0],
    ),
}


@pytest.mark.parametrize(("history", "found"), CASES.values(), ids=CASES)
def test_gaps(history: list[Seen], found: list[float]) -> None:
    assert gaps(history) == found
