"""A Job whose creation nobody answered: it may be there, and nobody else is given what it holds."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from tests.unit.operator.builders import NAMESPACE, phase, pipeline
from tests.unit.operator.simulated import town as simulated
from tests.unit.operator.simulated.town import GPUS, Town

from audiojob_kube.resources import AUDIOJOBS

LINES = {"gpu": pipeline(phase("one"), phase("two", device="GPU", startTimeoutSeconds=3_600), name="gpu")}


async def go_on(town: Town, *, steps: int = 200) -> None:
    """All that happens by itself, but that the watch of Jobs lags behind, and that no GPU is given back."""
    for _ in range(steps):
        found = [
            act for what, act in town.goings_on() if what != "hear jobs" and not ("-two-1-" in what and "ends" in what)
        ]
        if not found:
            return
        found[0]()
        await town.settle()
        town.check()


async def until_creating(town: Town) -> None:
    while not any(call.what.startswith("create") and "-two-1-" in call.what for call in town.process.calls):
        assert town.goings_on(), "no Job is made"
        await town.go(0)


@pytest.mark.parametrize("arrives", [True, False], ids=["its answer is lost", "it is lost"])
@pytest.mark.parametrize("then", ["goes on", "is deleted", "is cancelled"])
def test_nobody_else_gets_its_gpu_and_it_is_not_lost(arrives: bool, then: str) -> None:
    async def steps(town: Town) -> None:
        for _ in range(GPUS + 1):
            town.submit("gpu")
        await until_creating(town)
        which = next(n for n, call in enumerate(town.process.calls) if "-two-1-" in call.what)
        name = "-".join(town.process.calls[which].what.removeprefix("create ").split("-")[:2])
        await town.lose(which, arrives=arrives)
        await go_on(town)
        job = town.server.find(AUDIOJOBS, (NAMESPACE, name))
        assert job is not None
        if then == "is deleted":
            town.server.delete(AUDIOJOBS, (NAMESPACE, name))
        elif then == "is cancelled":
            town.edit(job, cancel=True)
        await go_on(town)
        await town.end_in_peace()
        while town.goings_on():
            await town.go(0)
        assert not town.process.admitter.gpus, "all is given back"
        assert {each["status"].get("state") for each in town.server.all(AUDIOJOBS)} <= {"Succeeded", "Cancelled"}

    with patch.object(simulated, "LINES", LINES):
        Town().run(steps)
