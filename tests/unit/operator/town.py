"""Jobs of one namespace that know of each other."""

from __future__ import annotations

from typing import Any

from tests.unit.operator.builders import URL, World, ask_others, audio_job, separate_pipeline

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


def donors(world: World) -> list[str | None]:
    return [record.reused_from for record in world.job.status.phases]
