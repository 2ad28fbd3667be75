"""Descriptors of tasks: found by their modules, at one with themselves, with the runner, the chart and the docs."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from audiojob_types import tasks
from audiojob_types.descriptor import ImageFamily, Output, Reuse, Served
from audiojob_types.generate import chart_values
from audiojob_types.generate.tasks_doc import tasks_page
from audiojob_types.tasks import Task

ROOT = Path(__file__).parents[4]
CHART = ROOT / "charts" / "audiojob"

every_task = pytest.mark.parametrize("task", Task)


def test_there_is_a_task_for_each_module() -> None:
    modules = {file.stem for file in Path(str(tasks.__file__)).parent.glob("*.py")} - {"__init__"}
    assert {task.descriptor.module for task in Task} == modules
    assert {task.name for task in Task} == {module.upper() for module in modules}
    assert [task.value for task in Task] == sorted(task.descriptor.name for task in Task)


@every_task
def test_names_follow_one_another(task: Task) -> None:
    assert task.parameter_key == task.value[0].lower() + task.value[1:]
    assert task.descriptor.parameters.__name__ == f"{task.value}Parameters"


@every_task
def test_a_summary_is_a_sentence_and_the_page_exists(task: Task) -> None:
    assert task.descriptor.summary.endswith(".")
    assert "|" not in task.descriptor.summary
    assert (ROOT / "docs" / task.descriptor.page).is_file()


@every_task
def test_its_files_have_names_of_their_own_and_media_types(task: Task) -> None:
    for files in (task.descriptor.inputs, task.descriptor.outputs):
        assert files
        assert len({file.name for file in files}) == len(files)
        assert all(fnmatchcase(each, "*/*") for file in files for each in file.media_types)


@every_task
def test_workers_serve_nothing_that_needs_what_they_lack(task: Task) -> None:
    known = task.descriptor
    if known.reaches_out or known.publishes or known.runs_program:
        assert known.served is Served.NEVER


@every_task
def test_work_with_an_effect_elsewhere_is_never_reused(task: Task) -> None:
    assert task.descriptor.publishes == (task.descriptor.reuse is Reuse.NEVER)


@every_task
def test_a_task_that_reads_models_names_them(task: Task) -> None:
    assert bool(task.descriptor.parameters().models) == task.descriptor.uses_models


@pytest.mark.parametrize(
    ("name", "media_type", "covered"),
    [
        pytest.param("subtitles-en", "text/vtt", True, id="any language"),
        pytest.param("subtitles-pt-br", "text/plain", False, id="another media type"),
        pytest.param("info", "text/vtt", False, id="another name"),
    ],
)
def test_an_output_covers_names_and_media_types(name: str, media_type: str, covered: bool) -> None:
    assert Output("subtitles-*", ("text/vtt",)).covers(name, media_type) is covered


# ---------------------------------------------------------------- what is derived


def test_the_committed_page_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8") == tasks_page()


def test_the_committed_values_are_the_generated_ones() -> None:
    values, schema = ((CHART / name).read_text(encoding="utf-8") for name in ("values.yaml", "values.schema.json"))
    assert chart_values.with_sizes(values) == values
    assert chart_values.with_members(schema) == schema


def test_values_without_the_comments_are_refused() -> None:
    with pytest.raises(ValueError, match="lacks the comments"):
        chart_values.with_sizes("pipelines: {}\n")


def test_every_image_family_is_built_and_has_values() -> None:
    stages = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["images"]
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for family in ImageFamily:
        assert f" AS {family.value}\n" in stages
        assert values[family.key]["repository"] == f"audiojob/{family.value}"
        assert family.key in schema["properties"]["images"]["properties"]
