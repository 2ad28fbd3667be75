"""Jobs of one namespace that know of each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.unit.operator.builders import NOW, URL, World, audio_job, separate_pipeline

from audiojob_operator.deciding.reuse.keys import donor_in, fits, must_wait
from audiojob_operator.records.reuse import Fresh, ReuseAnswer, ReuseAsk, SameWork

OUTPUTS = {"download": ("source",), "normalize": ("audio",), "separate": ("vocals", "accompaniment")}
STEPS = tuple(OUTPUTS)


class Town:
    """Jobs of one namespace that know of each other."""

    def __init__(self) -> None:
        self.worlds: list[World] = []

    def add(self, name: str, line: Any = None, **spec: Any) -> World:
        given = {"source": {"url": URL}, **spec}
        world = World(
            audiojob=audio_job(name, pipeline="separate", uid=f"uid-{name}", **given),
            pipeline=line or separate_pipeline(),
        )
        others = [*self.worlds]
        world.ask = lambda wanted: ask_others([*others, *self._after(world)], wanted)
        self.worlds.append(world)
        return world

    def _after(self, world: World) -> list[World]:
        return self.worlds[self.worlds.index(world) + 1 :]


def ask_others(others: Iterable[World], wanted: ReuseAsk) -> ReuseAnswer:
    """The answer of a shell that knows these jobs and no others."""
    donors = [donor for other in others if (donor := donor_in(other.job, wanted.key)) is not None]
    fitting = [donor for donor in donors if fits(wanted, donor)]
    if fitting:
        return max(fitting, key=lambda donor: donor.finished or NOW)
    for other in others:
        for record in other.job.status.phases:
            if record.reuse_key == wanted.key and record.state == "Running":
                same = SameWork(other.job.metadata.name, other.job.spec.priority or 5, record.reason or "")
                if must_wait(wanted, same):
                    return same
    return Fresh()


def donors(world: World) -> list[str | None]:
    return [record.reused_from for record in world.job.status.phases]
