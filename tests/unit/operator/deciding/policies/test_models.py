"""Phases whose model is on its way: they wait, say how far it is, hold no slot, and start when it is there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import (
    NOW,
    URL,
    World,
    audio_job,
    phase,
    pipeline,
    separate_pipeline,
    with_settings,
)

from audiojob_operator.deciding.policies.blocker import Facts
from audiojob_operator.deciding.policies.models import (
    lacks_model,
    model_wait,
    needed_models,
    no_models_volume,
    progress_shown,
)
from audiojob_operator.deciding.policies.ready import can_go_on, gpu_requests
from audiojob_operator.records.admission import Admission, GpuRequest
from audiojob_operator.records.observed import Retried
from audiojob_types.base import format_time
from audiojob_types.models import WANTED_KEY, ModelBook
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobSpec
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec, Phase

Object = dict[str, Any]


def book(*wanted: str, **records: Object) -> ModelBook:
    """What the ConfigMap says: the models that the chart names, and where each stands."""
    texts = {name: json.dumps(record) for name, record in records.items()}
    return ModelBook.read({WANTED_KEY: json.dumps(wanted or ["htdemucs"]), **texts})


def fetching(percent: int = 43, *, minutes_ago: int = 0) -> Object:
    told = format_time(NOW - timedelta(minutes=minutes_ago))
    return {"state": "Fetching", "percent": percent, "message": "Fetching x.th.", "reportTime": told}


READY: Object = {"state": "Ready", "percent": 100}
FAILED: Object = {"state": "Failed", "message": "The models volume is full.", "suggestion": "Enlarge it."}


def spec_of(**separate: Any) -> AudioJobSpec:
    return AudioJobSpec.model_validate({"pipeline": "separate", "parameters": {"separate": separate}})


def separating(**more: Any) -> Phase:
    return Phase.model_validate(phase("separate", "Separate", **more))


# ---------------------------------------------------------------- the policy


@pytest.mark.parametrize(
    ("model", "said", "waits"),
    [
        pytest.param("htdemucs", None, None, id="nothing is fetched ahead: the volume is filled by hand"),
        pytest.param("htdemucs", book("mdx"), None, id="of this model nothing is known"),
        pytest.param("htdemucs", book(htdemucs=READY), None, id="it is there"),
        pytest.param("demucs_unittest", book("htdemucs"), None, id="the untrained network needs no files"),
        pytest.param("htdemucs", book("htdemucs"), "htdemucs (prefetch has not begun).", id="not begun"),
        pytest.param("htdemucs", book(htdemucs=fetching()), "htdemucs (prefetch 43 %).", id="on its way"),
        pytest.param(
            "htdemucs",
            book(htdemucs=fetching(minutes_ago=6)),
            "htdemucs (prefetch 43 %, no news since 2026-03-01T11:54:00Z).",
            id="its pod is gone",
        ),
        pytest.param(
            "htdemucs",
            book(htdemucs=FAILED),
            "htdemucs (prefetch failed: The models volume is full). For the administrator: Enlarge it.",
            id="failed",
        ),
        pytest.param(
            "htdemucs",
            book(htdemucs={"state": "Failed"}),
            "htdemucs (prefetch failed: no reason given).",
            id="failed without a word",
        ),
        pytest.param("mdx", book("htdemucs", "mdx", htdemucs=READY), "mdx (prefetch has not begun).", id="the other"),
    ],
)
def test_what_a_phase_that_needs_a_model_is_told(model: str, said: ModelBook | None, waits: str | None) -> None:
    wait = model_wait(spec_of(model=model), separating(), said, NOW)
    expected = None if waits is None else f"Phase separate waits for the model {waits}"
    assert (wait.message if wait else None) == expected


@pytest.mark.parametrize(
    ("spec", "of", "model"),
    [
        pytest.param(spec_of(), separating(), "htdemucs", id="the built-in default"),
        pytest.param(spec_of(), separating(parameters={"separate": {"model": "mdx"}}), "mdx", id="the pipeline's"),
        pytest.param(
            spec_of(model="mdx_extra"),
            separating(parameters={"separate": {"model": "mdx"}}),
            "mdx_extra",
            id="the job's, which wins",
        ),
        pytest.param(spec_of(), Phase.model_validate(phase("first")), None, id="another task"),
    ],
)
def test_which_model_a_phase_needs(spec: AudioJobSpec, of: Phase, model: str | None) -> None:
    assert needed_models(spec, of) == (() if model is None else (model,))
    assert lacks_model(spec, of, frozenset({"htdemucs", "mdx", "mdx_extra"})) is (model is not None)


def test_a_wait_is_looked_at_again_when_the_news_have_become_old() -> None:
    wait = model_wait(spec_of(), separating(), book(htdemucs=fetching(minutes_ago=1)), NOW)
    assert wait is not None
    assert wait.until == NOW + timedelta(minutes=4)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(fetching(40), fetching(49), True, id="nine percent more"),
        pytest.param(fetching(49), fetching(50), False, id="the next tenth"),
        pytest.param(fetching(43), fetching(43, minutes_ago=1), True, id="another sign of life"),
        pytest.param(fetching(43), FAILED, False, id="it fails"),
        pytest.param(FAILED, {**FAILED, "message": "There is no such file."}, False, id="it fails otherwise"),
    ],
)
def test_jobs_are_not_told_every_percent(one: Object, other: Object, same: bool) -> None:
    assert (progress_shown(book(htdemucs=one)) == progress_shown(book(htdemucs=other))) is same


def test_a_phase_without_its_model_asks_for_no_slot_and_no_gpu() -> None:
    plan = AudioPipelineSpec.model_validate(pipeline(phase("separate", "Separate", device="GPU"))["spec"])
    unready = frozenset({"htdemucs"})
    assert not can_go_on(plan, Facts(spec_of(), unready=unready), NOW)
    assert gpu_requests(plan, Facts(spec_of(), unready=unready), NOW, NOW) == ()
    assert can_go_on(plan, Facts(spec_of()), NOW)
    assert gpu_requests(plan, Facts(spec_of()), NOW, NOW) == (GpuRequest(gpus=1, must=True),)


# ---------------------------------------------------------------- whole decisions


def chain_world(said: ModelBook | None) -> World:
    """download → normalize → separate, brought to where separate would start."""
    job = audio_job(pipeline="separate", source={"url": URL})
    world = World(audiojob=job, pipeline=separate_pipeline(), models=said)
    for name, output in (("download", "source"), ("normalize", "audio")):
        world.turn()
        assert world.phase(name).state == "Running"
        world.succeed(name, output)
    return world


def only_world(said: ModelBook | None) -> World:
    """A pipeline that begins with Separate."""
    return World(pipeline=pipeline(phase("separate", "Separate")), models=said)


def test_what_needs_no_model_goes_on_meanwhile_and_the_slot_is_free_then() -> None:
    world = chain_world(book(htdemucs=fetching()))
    world.turn()
    assert (world.status["state"], world.condition("Progressing")["reason"]) == ("Queued", "ModelMissing")
    assert world.status["message"] == "Phase separate waits for the model htdemucs (prefetch 43 %)."
    assert world.condition("Admitted")["status"] == "False"
    assert "startTime" not in world.status, "its clock stands still"
    assert world.phase("separate").attempt == 0
    assert [event.reason for event in world.events.values()].count("ModelMissing") == 1
    world.pass_time(1_000)
    world.turn()
    assert world.phase("separate").attempt == 0, "time alone changes nothing"


def test_the_phase_starts_when_its_model_is_there() -> None:
    world = chain_world(book(htdemucs=fetching()))
    world.turn()
    world.models = book(htdemucs=READY)
    world.turn()
    assert (world.status["state"], world.phase("separate").state) == ("Running", "Running")
    world.succeed("separate", "vocals")
    world.turn()
    assert world.status["state"] == "Succeeded"


def test_a_job_that_has_not_begun_waits_for_its_model_and_not_for_a_slot() -> None:
    world = only_world(book(htdemucs=fetching(7)))
    plan = world.turn()
    assert (world.status["state"], world.jobs) == ("Queued", {})
    assert world.condition("Progressing")["reason"] == "ModelMissing"
    assert "htdemucs (prefetch 7 %)" in world.status["message"]
    assert plan.requeue_after == 300
    assert world.decide().status is None, "nothing new to say"


def test_a_failed_prefetch_says_so_and_what_to_do() -> None:
    world = only_world(book(htdemucs=FAILED))
    world.turn()
    assert world.status["state"] == "Queued", "the administrator can still mend it"
    assert "prefetch failed: The models volume is full" in world.status["message"]
    assert "Enlarge it." in world.status["message"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(None, id="no record of models at all"),
        pytest.param(book("mdx"), id="a record of another model"),
        pytest.param(book(htdemucs=READY), id="the model is there"),
        pytest.param(ModelBook.read({"htdemucs": json.dumps(FAILED)}), id="an old record of what is not wanted"),
    ],
)
def test_nothing_else_waits(said: ModelBook | None) -> None:
    world = only_world(said)
    world.turn()
    assert world.phase("separate").state == "Running"


def test_an_attempt_that_failed_waits_for_its_model_too() -> None:
    """The claim was made anew, and is filled again."""
    world = only_world(book(htdemucs=READY))
    world.turn()
    world.fail("separate")
    world.models = book(htdemucs=fetching())
    world.turn()
    world.pass_time(600)
    world.turn()
    assert (world.phase("separate").attempt, world.condition("Progressing")["reason"]) == (1, "ModelMissing")
    world.models = book(htdemucs=READY)
    world.turn()
    assert world.phase("separate").attempt == 2


def test_a_running_attempt_is_left_alone_when_its_model_is_fetched_again() -> None:
    world = only_world(book(htdemucs=READY))
    world.turn()
    world.run("separate")
    world.models = book(htdemucs=fetching())
    plan = world.turn()
    assert (plan.delete_jobs, world.phase("separate").state) == ((), "Running")


def test_a_cancelled_job_does_not_wait() -> None:
    world = only_world(book("htdemucs"))
    world.turn()
    world.edit(cancel=True)
    world.turn()
    assert world.status["state"] == "Cancelled"


def test_a_queue_timeout_tells_of_the_model() -> None:
    world = World(
        audiojob=audio_job(queueTimeoutSeconds=60),
        pipeline=pipeline(phase("separate", "Separate")),
        models=book("htdemucs"),
    )
    world.turn()
    world.pass_time(60)
    world.turn()
    assert (world.status["state"], world.status["error"]["reason"]) == ("Failed", "QueueTimeout")
    assert "htdemucs" in world.status["error"]["message"]


def test_parameters_that_do_not_fit_fail_before_anything_waits() -> None:
    world = only_world(book("htdemucs"))
    world.edit(parameters={"separate": {"stems": "SixStems"}})
    world.turn()
    assert (world.status["state"], world.status["error"]["reason"]) == ("Failed", "InvalidSpec")


# ---------------------------------------------------------------- without a models volume

NO_VOLUME = with_settings(models_claim=False)


@pytest.mark.parametrize(
    ("model", "said", "way_out"),
    [
        pytest.param("htdemucs", None, "with htdemucs in models.prefetch.models", id="nothing is fetched ahead"),
        pytest.param("mdx", book("htdemucs"), "with mdx in models.prefetch.models", id="another model is fetched"),
        pytest.param(
            "htdemucs",
            ModelBook.read({WANTED_KEY: "[]", "htdemucs": json.dumps(READY)}),
            "with htdemucs in models.prefetch.models",
            id="an old record of what is not wanted",
        ),
        pytest.param("audiojob_proof", None, "to put audiojob_proof into the volume", id="a model of no prefetch"),
        pytest.param("htdemucs", book("htdemucs"), None, id="it is named for prefetch: the volume is on its way"),
        pytest.param("demucs_unittest", None, None, id="the untrained network needs no files"),
    ],
)
def test_what_is_said_of_a_model_that_nobody_brings(model: str, said: ModelBook | None, way_out: str | None) -> None:
    found = no_models_volume(spec_of(model=model), [Phase.model_validate(phase("first")), separating()], said)
    assert (found is None) == (way_out is None)
    if found is not None and way_out is not None:
        assert found.message == f"Phase separate needs the model {model}, but no models volume is configured."
        assert "models.enabled" in found.suggestion
        assert way_out in found.suggestion


def chain_without_volume(**more: Any) -> World:
    job = audio_job(pipeline="separate", source={"url": URL}, **more)
    return World(audiojob=job, pipeline=separate_pipeline(), settings=NO_VOLUME)


def test_without_a_volume_a_job_is_refused_before_anything_is_created() -> None:
    world = chain_without_volume()
    world.admission = Admission(False, Reason.QUEUE_FULL, "2 of 2 jobs are running.")
    world.turn()
    error = world.status["error"]
    assert (world.status["state"], error["reason"], error.get("retryable", False)) == ("Failed", "ModelMissing", False)
    assert "models.prefetch.enabled" in error["suggestion"]
    assert (world.created_jobs, world.revisions, world.status.get("phases", [])) == ([], {}, [])


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(
            chain_without_volume(parameters={"separate": {"model": "demucs_unittest"}}), id="the untrained network"
        ),
        pytest.param(World(settings=NO_VOLUME), id="a pipeline that separates nothing"),
        pytest.param(replace(chain_without_volume(), settings=with_settings()), id="a volume that is filled by hand"),
        pytest.param(replace(chain_without_volume(), models=book("htdemucs")), id="a volume that is on its way"),
    ],
)
def test_without_a_volume_other_jobs_start(world: World) -> None:
    world.turn()
    assert world.status["state"] == "Running"


def test_a_job_that_has_begun_is_left_to_the_runner_when_the_volume_is_taken_away() -> None:
    world = chain_world(None)
    world.settings = NO_VOLUME
    world.turn()
    assert world.phase("separate").state == "Running"


def test_a_retry_needs_no_model_for_what_is_already_separated() -> None:
    line = pipeline(phase("separate", "Separate"), phase("second"))
    before = World(pipeline=line)
    before.turn()
    before.succeed("separate", "vocals")
    before.turn()
    before.fail("second", 65)
    before.turn()
    assert before.status["state"] == "Failed"
    retried = Retried(before.job, AudioPipeline.model_validate(line).spec)
    world = World(audiojob=audio_job(retryOf="before"), pipeline=line, retried=retried, settings=NO_VOLUME)
    world.turn()
    assert (world.phase("separate").state, world.phase("second").state) == ("Succeeded", "Running")


def test_a_namespace_of_another_operator_may_have_a_volume() -> None:
    world = chain_without_volume()
    world.prepared = False
    world.turn()
    assert world.condition("Progressing")["reason"] == "NamespaceNotPrepared"
