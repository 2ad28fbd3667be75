"""A task is added by its descriptor and its code: every other part learns of it from there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.new_task import DATA, ROOT, Copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy.make(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def generated(copy: Copy) -> Path:
    """A folder with the generated files of the copy."""
    chart = copy.root / "chart"
    chart.mkdir()
    for name in ("values.yaml", "values.schema.json"):
        shutil.copy(ROOT / "charts" / "audiojob" / name, chart)
    copy.python(DATA / "generate.py")
    return copy.root


def spec_schema(folder: Path, name: str) -> Any:
    file = folder / "crds" / name
    assert file.stat().st_size <= 128 * 1024
    (version,) = yaml.safe_load(file.read_text())["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_jobs_and_pipelines_take_its_parameters(generated: Path) -> None:
    phase = spec_schema(generated, "audiopipelines.yaml")["phases"]["items"]["properties"]
    assert "ReverseText" in phase["task"]["enum"]
    for parameters in (spec_schema(generated, "audiojobs.yaml")["parameters"], phase["parameters"]):
        times = parameters["properties"]["reverseText"]["properties"]["times"]
        assert (times["type"], times["minimum"], times["maximum"]) == ("integer", 1, 9)


def test_the_chart_sizes_its_attempts(generated: Path) -> None:
    values = yaml.safe_load((generated / "chart" / "values.yaml").read_text())["pipelines"]["resources"]
    assert values["reverseText"] == {"cpu": "2", "memory": "128Mi", "scratch": "1Gi"}
    schema = json.loads((generated / "chart" / "values.schema.json").read_text())
    assert schema["properties"]["pipelines"]["properties"]["resources"]["properties"].keys() == values.keys()


def test_the_page_of_tasks_has_it(generated: Path) -> None:
    rows = (generated / "tasks.md").read_text().splitlines()
    assert "| [ReverseText](reverse-text.md) | Writes the letters of a text in reverse. | `source` | `text` |" in rows
    assert "| ReverseText | `runnerTorch` | | | | yes |" in rows


def test_the_operator_runs_it_in_its_image_and_recognises_its_work(copy: Copy) -> None:
    made = json.loads(copy.python(DATA / "operate.py"))
    assert made["image"] == "docker.io/audiojob/runner-torch:1"
    assert (made["input"]["task"], made["input"]["parameters"]) == ("ReverseText", {"times": 3})
    assert len(made["reuseKey"]) == 64


def test_the_runner_runs_it(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("abc")
    arguments = ("--input", f"source={tmp_path / 'words.txt'}", "--param", "times=3", "--out", tmp_path / "out")
    listed = json.loads(copy.python("-m", "audiojob_runner", "run", "ReverseText", *arguments))
    assert [(each["name"], Path(each["file"]).read_text()) for each in listed["outputs"]] == [("text", "cba")]


def test_the_command_line_lists_it(copy: Copy) -> None:
    shown = copy.python("-m", "audiojob_runner", "tasks")
    assert "\nReverseText: Writes the letters of a text in reverse.\n    input source: text/plain\n" in shown
    assert "    times is how often the text is reversed. Default 1.\n" in shown
