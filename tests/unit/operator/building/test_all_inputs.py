"""``output: '*'``: a phase that takes whatever the job brings along, or whatever a phase before it has made."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import World, audio_job, phase, phase_input_of, pipeline

from audiojob_types.contract import MAX_PHASE_INPUTS
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import State

SCENES = {"name": "scenes", "from": "Job", "output": "scenes"}
REST = {"name": "media", "from": "Job", "output": "*"}
SPOKEN = {"name": "spoken", "from": "speech", "output": "*"}
SCRIPT = {"name": "script", "from": "Job", "output": "script"}
TEXTS = [{"name": "scenes", "text": "{}"}, {"name": "script", "text": "Hello."}]


def film(*inputs: Any, task: str = "Compose", **program: Any) -> Any:
    speech = phase("speech", "Container", image="example.org/speak:1", inputs=[SCRIPT])
    return pipeline(speech, phase("compose", task, inputs=list(inputs), **program))


def uploads(count: int) -> list[dict[str, Any]]:
    return [{"name": f"media-{number}", "object": {"key": f"trip/{number}.jpg"}} for number in range(count)]


def test_a_phase_has_all_inputs_that_it_does_not_name_and_all_outputs_of_another() -> None:
    job = audio_job(inputs=[*TEXTS, *uploads(2)])
    world = World(audiojob=job, pipeline=film(SCENES, REST, SPOKEN))
    world.turn()
    world.run("speech")
    world.succeed("speech", "speech", "speech-1")
    world.turn()
    given = phase_input_of(world.newest("compose"))
    prefix = "music/uploads/trip"
    assert [(each.name, each.text or each.key or each.output) for each in given.inputs] == [
        ("scenes", "{}"), ("script", "Hello."), ("media-0", f"{prefix}/0.jpg"), ("media-1", f"{prefix}/1.jpg"),
        ("spoken", "*"),
    ]  # fmt: skip
    mounts = world.newest("compose")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    read_only = {each["mountPath"] for each in mounts if each.get("readOnly") and "/store" in each["mountPath"]}
    assert len(read_only) == 2  # the uploads, and the folder of the phase before


def test_a_film_of_120_scenes_fits() -> None:
    world = World(audiojob=audio_job(inputs=[*TEXTS, *uploads(241)]), pipeline=pipeline(
        phase("compose", "Compose", inputs=[SCENES, REST])))  # fmt: skip
    world.turn()
    assert len(phase_input_of(world.newest("compose")).inputs) == 243 < MAX_PHASE_INPUTS


@pytest.mark.parametrize(
    ("inputs", "line", "sentence"),
    [
        pytest.param([*TEXTS, {"name": "source", "text": "x"}],
                     film({"name": "source", "from": "Job", "output": "script"}, REST),
                     "spec.inputs[source]: phase compose has another input of that name", id="a name twice"),
        pytest.param([*TEXTS, {"name": "lyrics", "object": {"key": "a/../../b"}}], film(SCENES, REST),
                     "spec.inputs[lyrics].object.key: must be a relative path", id="a key outside the uploads"),
        pytest.param(TEXTS, film(REST, task="Transcode"),
                     "must name one: Transcode knows its inputs by their names", id="a task that takes no others"),
        pytest.param(TEXTS, film(SPOKEN, task="Container", image="example.org/more:1"),
                     "must name one: a program finds its inputs by the names in the pipeline", id="a program"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(inputs: list[Any], line: Any, sentence: str) -> None:
    world = World(audiojob=audio_job(inputs=inputs, source={"url": "https://example.org/x"}), pipeline=line)
    for _ in range(6):
        world.turn()
        if world.job.status.state.finished:
            break
        running = [each.name for each in world.job.status.phases if each.state == "Running"]
        for name in running:
            world.succeed(name, "speech")
    assert world.state() is State.FAILED
    assert Reason.INVALID_SPEC in str(world.status)
    assert sentence in str(world.status)
