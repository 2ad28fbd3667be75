"""Whatever happens to jobs, pools, workers and the operator, in whatever order: the promises hold, and all jobs end.

The operator's own shell is at work here, with its caches, watches that lag, and calls that are lost half-way.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.operator.simulated.town import LINES, Town

GOES_ON = ["go"] * 110
HARMS = (
    "pool deleted", "pool deleted", "pool made", "pool closed", "pool open", "pool changed", "worker deleted",
    "worker lost", "worker killed", "worker crashed", "cancel", "delete job", "fail",
)  # fmt: skip
FAULTS = ("answer lost", "answer lost", "call lost", "killed", "second", "second", "while", "submit", "submit")
HAPPENINGS = (*GOES_ON, *FAULTS, *HARMS)


async def happen(town: Town, what: str, which: int) -> None:
    match what:
        case "go":
            await town.go(which)
        case "answer lost" | "call lost":
            await town.lose(which, arrives=what == "answer lost")
        case "killed":
            await town.restart()
        case "second" | "while":
            await town.pass_time(1 if what == "second" else 10)
        case "submit":
            town.submit(sorted(LINES)[which % len(LINES)])
        case _:
            town.harm(what, which)


# Few, so that the unit tests stay fast; TOWNS=1000 for a long look.
@settings(max_examples=int(os.environ.get("TOWNS", "4")), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([None, 1, 2]),
    st.lists(st.sampled_from(sorted(LINES)), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 30)), min_size=60, max_size=250),
)
def test_the_promises_hold(max_gpus: int | None, jobs: list[str], story: list[tuple[str, int]]) -> None:
    async def steps(town: Town) -> None:
        for line in jobs:
            town.submit(line)
        for what, which in story:
            await happen(town, what, which)
            town.check()
        await town.end_in_peace()

    Town(max_gpus).run(steps)
