"""A world in which pods begin early: two phases, of which the second reads what the first makes."""

from __future__ import annotations

from typing import Any

from tests.unit.operator.builders import SETTINGS, World, audio_job, phase, pipeline, with_settings

from audiojob_operator.records.objects import Object
from audiojob_operator.records.settings import Overlap
from audiojob_types import constants as c
from audiojob_types.contract import PhaseInput

ON = Overlap(enabled=True)
READS = [{"name": "source", "from": "first"}]


def two(**second: Any) -> Object:
    """The pipeline, with more said of its second phase."""
    return pipeline(phase("first"), phase("second", **{"task": "Normalize", "inputs": READS, **second}))


def early_world(line: Object | None = None, **more: Any) -> World:
    """A new job; nobody waits for anything."""
    more.setdefault("settings", with_settings(overlap=ON))
    more.setdefault("audiojob", audio_job())
    return World(pipeline=line or two(), may_begin_early=True, **more)


def begun(line: Object | None = None, **more: Any) -> World:
    """The first phase works, and the second has begun early, where it may."""
    world = early_world(line, **more)
    world.turn()
    world.run("first")
    world.turn()
    return world


def waiting(line: Object | None = None, **more: Any) -> World:
    """The second phase's pod is on a node and waits to be told its inputs."""
    world = begun(line, **more)
    world.run("second")
    world.turn()
    return world


def told(world: World, name: str = "second") -> PhaseInput | None:
    """What the phase's newest pod was told."""
    pod = world.pods[world.newest(name)["metadata"]["name"]]
    text = pod["metadata"]["annotations"][c.ANNOTATION_INPUTS]
    return PhaseInput.model_validate_json(text) if text else None


def jobs(world: World, name: str) -> list[str]:
    """The Jobs that were made of a phase, by attempt."""
    return [job.rsplit("-", 2)[1] for job in world.created_jobs if f"-{name}-" in job]


__all__ = ["ON", "SETTINGS", "begun", "early_world", "jobs", "told", "two", "waiting"]
