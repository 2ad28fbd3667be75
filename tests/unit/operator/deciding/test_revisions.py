"""Revisions, and which layer holds for each knob."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import SETTINGS, audio_job, phase, pipeline

from audiojob_operator.building import precedence
from audiojob_operator.deciding import revisions
from audiojob_operator.deciding.attempts.retry import backoff_seconds
from audiojob_operator.records.settings import Images, Revision
from audiojob_types.descriptor import ImageFamily
from audiojob_types.parameters import InvalidParameters
from audiojob_types.resources.job import AudioJob, AudioJobSpec, Retry
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec, Phase
from audiojob_types.tasks import Task


def spec(**more: Any) -> AudioJobSpec:
    return AudioJobSpec.model_validate({"pipeline": "pair", **more})


def pipeline_spec(*phases: dict[str, Any], **more: Any) -> AudioPipelineSpec:
    return AudioPipeline.model_validate(pipeline(*phases, **more)).spec


def one_phase(**more: Any) -> Phase:
    return Phase.model_validate(phase("only") | more)


@pytest.mark.parametrize(
    ("wish", "can", "device"),
    [
        (None, "CPU", "CPU"), ("GPU", "CPU", "CPU"), ("Auto", "CPU", "CPU"),
        (None, "Auto", "Auto"), ("CPU", "Auto", "CPU"), ("GPU", "Auto", "GPU"),
        (None, "GPU", "GPU"), ("CPU", "GPU", "CPU"), ("Auto", "GPU", "Auto"),
    ],
)  # fmt: skip
def test_the_jobs_device_acts_only_on_phases_that_can_use_a_gpu(wish: str | None, can: str, device: str) -> None:
    assert precedence.effective_device(spec(device=wish), one_phase(device=can)) == device


def test_a_task_that_cannot_use_a_gpu_is_given_none() -> None:
    assert precedence.effective_device(spec(device="GPU"), one_phase(task="Normalize", device="GPU")) == "CPU"


def test_the_retry_policy_comes_whole_from_job_else_phase_else_pipeline_else_built_in() -> None:
    def limit(job: Any, step: Any, line: Any) -> int:
        given = [{"retry": {"limit": each} if each else None} for each in (job, step, line)]
        return precedence.effective_retry(spec(**given[0]), one_phase(**given[1]), pipeline_spec(**given[2])).limit

    assert [limit(1, 2, 4), limit(None, 2, 4), limit(None, None, 4), limit(None, None, None)] == [1, 2, 4, 3]
    assert precedence.effective_retry(spec(), one_phase(), pipeline_spec(retry=None)) == Retry(
        limit=3, base_seconds=2, cap_seconds=600
    ), "a stored revision that names none keeps the default of its time"


def test_a_new_revision_names_the_retry_policy_that_lasts_through_a_short_outage() -> None:
    line = AudioPipeline.model_validate(pipeline(retry=None))
    made = revisions.make_revision(line, SETTINGS.images)
    assert made.spec.retry == Retry(limit=6, base_seconds=10, cap_seconds=120)
    assert revisions.revision_object(made, "music")["data"]["spec"]["retry"] == {
        "limit": 6,
        "baseSeconds": 10,
        "capSeconds": 120,
    }
    assert made.spec.retry is not None
    waits = [backoff_seconds(made.spec.retry, failures, f"seed {failures}") for failures in range(1, 6)]
    assert 120 < sum(waits) < 310, "between half and all of 10 + 20 + 40 + 80 + 120 seconds"


def test_a_pipelines_own_retry_policy_is_kept() -> None:
    line = AudioPipeline.model_validate(pipeline(retry={"limit": 2, "baseSeconds": 0}))
    assert revisions.make_revision(line, SETTINGS.images).spec.retry == Retry(limit=2, base_seconds=0, cap_seconds=120)


def test_priority_deadline_and_ttl_come_from_job_else_pipeline_else_built_in() -> None:
    line = pipeline_spec(priority=7, activeDeadlineSeconds=70, ttlSecondsAfterFinished=0)
    assert [
        precedence.effective_priority(s, p) for s, p in ((spec(priority=9), line), (spec(), line), (spec(), None))
    ] == [9, 7, 5]
    assert [
        precedence.effective_deadline_seconds(s, p)
        for s, p in ((spec(activeDeadlineSeconds=9), line), (spec(), line), (spec(), None))
    ] == [9, 70, None]
    assert [
        precedence.effective_ttl_seconds(s, p)
        for s, p in ((spec(ttlSecondsAfterFinished=9), line), (spec(), line), (spec(), None))
    ] == [9, 0, 86_400]


def test_parameters_are_laid_over_one_another_field_by_field() -> None:
    step = one_phase(task="Separate", parameters={"separate": {"model": "mdx", "seed": 7}})
    made = precedence.phase_parameters(spec(parameters={"separate": {"seed": 9}}), step).to_wire()
    assert (made["model"], made["seed"], made["format"]) == ("mdx", 9, "flac")


def test_parameters_that_do_not_fit_name_their_field() -> None:
    with pytest.raises(InvalidParameters, match=r"parameters\.separate\.shifts"):
        precedence.phase_parameters(spec(parameters={"separate": {"shifts": 99}}), one_phase(task="Separate"))


def test_a_revision_is_read_back_as_it_was_stored() -> None:
    made = revisions.make_revision(AudioPipeline.model_validate(pipeline(retentionSeconds=60)), SETTINGS.images)
    stored = revisions.revision_object(made, "music")
    assert revisions.parse_revision(stored) == made
    assert stored["metadata"]["namespace"] == "music"
    assert stored["metadata"]["labels"]["audiojobs.dev/pipeline"] == "pair"


def test_a_revisions_name_follows_its_content_images_included() -> None:
    line = AudioPipeline.model_validate(pipeline(retry=None))
    same = revisions.make_revision(line, SETTINGS.images).name
    assert revisions.make_revision(line, SETTINGS.images).name == same
    assert revisions.make_revision(line, Images(dict.fromkeys(ImageFamily, "other"))).name != same
    other = AudioPipeline.model_validate(pipeline(phase("first")))
    assert revisions.make_revision(other, SETTINGS.images).name != same


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"metadata": {"name": "x"}}, id="no data"),
        pytest.param(
            {
                "metadata": {"name": "x", "labels": {"audiojobs.dev/pipeline": "p"}},
                "data": {"spec": {"phases": []}, "images": {"runner": "a", "runnerTorch": "b"}},
            },
            id="no phases",
        ),
        pytest.param({"metadata": {"name": "x"}, "data": {"spec": {}, "images": {}}}, id="a DaemonSet's"),
    ],
)
def test_what_is_not_a_pipeline_revision_is_refused_by_name(broken: dict[str, Any]) -> None:
    with pytest.raises(revisions.InvalidRevisionError, match="'x'"):
        revisions.parse_revision(broken)


def test_images_follow_the_task() -> None:
    images = Images({family: f"image of {family}" for family in ImageFamily})
    assert {task: images.for_task(task) for task in Task} == {
        task: f"image of {task.descriptor.image}" for task in Task
    }


def test_a_revision_may_lack_the_image_of_a_family_that_its_phases_do_not_need() -> None:
    made = revisions.make_revision(AudioPipeline.model_validate(pipeline()), Images({ImageFamily.RUNNER: "light"}))
    stored = revisions.revision_object(made, "music")
    assert stored["data"]["images"] == {"runner": "light"}
    assert revisions.parse_revision(stored) == made
    del stored["data"]["images"]["runner"]
    with pytest.raises(revisions.InvalidRevisionError, match="runner"):
        revisions.parse_revision(stored)


def test_a_job_that_status_calls_running_and_the_cache_lacks_is_named() -> None:
    job = audio_job()
    job["status"]["phases"] = [
        {"name": "first", "state": "Succeeded", "attempt": 1, "jobName": "gone-long-ago"},
        {"name": "second", "state": "Running", "attempt": 1, "jobName": "song-second"},
    ]
    assert revisions.unconfirmed_children(AudioJob.model_validate(job), ()) == ("song-second",)


def read_by_next(name: str, task: str, reader: str | None = "next") -> tuple[dict[str, Any], ...]:
    """A phase, and one after it that reads what it publishes."""
    bound = [{"name": "audio", "from": name, "output": "audio"}] if reader else []
    return phase(name, task), phase(reader or "next", "Simulate", inputs=bound)


KEPT = {
    "normalized audio that a later phase reads": ("Normalize", "next", {}, 1, 604_800),
    "the pipeline keeps it for a day": ("Normalize", "next", {"intermediateRetentionSeconds": 86_400}, 1, 86_400),
    "the results are kept shorter": ("Normalize", "next", {"retentionSeconds": 3_600}, 1, 3_600),
    "the results are kept longer": ("Normalize", "next", {"retentionSeconds": 10**7}, 1, 604_800),
    "normalized audio that nobody reads is a result": ("Normalize", None, {}, 1, None),
    "a download that a later phase reads is a result": ("Download", "next", {}, 1, None),
    "a revision from before the default": ("Normalize", "next", {}, 0, None),
}


@pytest.mark.parametrize(("task", "reader", "spec_of", "contract", "seconds"), KEPT.values(), ids=KEPT.keys())
def test_how_long_files_are_kept(
    task: str, reader: str | None, spec_of: dict[str, Any], contract: int, seconds: int | None
) -> None:
    made = pipeline_spec(*read_by_next("first", task, reader), **spec_of)
    revision = Revision("p-1", "p", made, SETTINGS.images, contract)
    assert precedence.retention_seconds(revision, made.phases[0]) == seconds
