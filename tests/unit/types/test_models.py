"""The table of published models, compared with the demucs package, and the record of those that are fetched."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from audiojob_types.models import (
    DEFAULT_BASE_URL,
    KNOWN_MODELS,
    QUANTIZED_MODELS,
    WANTED_KEY,
    ModelBook,
    ModelState,
    published_prefix,
)
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.tasks.separate import Model

SHA = "ab" * 32


def package() -> Path:
    """The folder of the demucs package; the package itself, and torch with it, is not imported."""
    found = importlib.util.find_spec("demucs")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def published_files() -> dict[str, str]:
    """Path below the base address by signature, from demucs' own list."""
    files, root = {}, ""
    for line in (package() / "remote/files.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("root:"):
            root = line.partition(":")[2].strip()
        elif line.strip() and not line.startswith("#"):
            files[line.partition("-")[0]] = root + line.strip()
    return files


def test_the_table_is_that_of_the_demucs_package() -> None:
    bags = {path.stem: path for path in (package() / "remote").glob("*.yaml")}
    assert bags.keys() == KNOWN_MODELS.keys() | QUANTIZED_MODELS
    files = published_files()
    for name, known in KNOWN_MODELS.items():
        bag: dict[str, Any] = yaml.safe_load(bags[name].read_text(encoding="utf-8"))
        assert list(known.signatures) == bag["models"], name
        assert list(known.files) == [files[signature] for signature in bag["models"]], name
        weights = [list(row) for row in known.weights] if known.weights else None
        assert (weights, known.segment) == (bag.get("weights"), bag.get("segment")), name


def test_the_base_address_is_that_of_the_demucs_package() -> None:
    text = (package() / "pretrained.py").read_text(encoding="utf-8")
    assert re.findall(r'^ROOT_URL = "(.+)"$', text, re.MULTILINE) == [DEFAULT_BASE_URL]


def test_models_that_jobs_may_name_are_published_or_need_no_publishing() -> None:
    assert KNOWN_MODELS.keys() <= set(get_args(Model)), "whatever can be fetched ahead can be named"
    assert not QUANTIZED_MODELS & set(get_args(Model))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("evil/x", id="a repository of somebody"),
        pytest.param("hf://a/b", id="an address of a hub"),
        pytest.param("../m", id="a path"),
        pytest.param("/models/htdemucs.yaml", id="a path from the root"),
        pytest.param("", id="nothing"),
        pytest.param("htdemucs\n", id="a line break after the name"),
        pytest.param("HTDemucs", id="the class of a model"),
        pytest.param("955717e8", id="the signature of a network"),
        pytest.param("mdx_q", id="a quantised one"),
        pytest.param(7, id="a number"),
        pytest.param(["htdemucs"], id="a list"),
    ],
)
def test_B28_model_names_are_a_closed_list(name: object) -> None:  # noqa: N802
    from audiojob_types.tasks import Task

    with pytest.raises(InvalidParameters) as refused:
        resolve_parameters(Task.SEPARATE, {"model": name})
    assert refused.value.field == "parameters.separate.model"
    assert "'htdemucs'" in refused.value.message, "the message names what may be given"


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        pytest.param("955717e8-8726e21a.th", "8726e21a", id="as published"),
        pytest.param("955717e8.th", "", id="without a checksum"),
        pytest.param("my-own-model-0123.th", "0123", id="with dashes in the signature"),
    ],
)
def test_the_checksum_in_a_files_name(name: str, prefix: str) -> None:
    assert published_prefix(name) == prefix


def test_all_published_names_carry_a_checksum() -> None:
    for path in (path for known in KNOWN_MODELS.values() for path in known.files):
        assert re.fullmatch(r"[a-z_]+/[0-9a-f]{8}-[0-9a-f]{8}\.th", path), path


READY = json.dumps({"state": "Ready", "percent": 100, "files": {"a-b.th": SHA}})


@pytest.mark.parametrize(
    ("data", "unready"),
    [
        pytest.param({}, set(), id="nothing is wanted"),
        pytest.param({WANTED_KEY: '["mdx"]'}, {"mdx"}, id="wanted and not begun"),
        pytest.param({WANTED_KEY: '["mdx"]', "mdx": '{"state": "Fetching", "percent": 43}'}, {"mdx"}, id="on its way"),
        pytest.param({WANTED_KEY: '["mdx"]', "mdx": '{"state": "Failed"}'}, {"mdx"}, id="failed"),
        pytest.param({WANTED_KEY: '["mdx"]', "mdx": READY}, set(), id="there"),
        pytest.param({WANTED_KEY: '["mdx", "htdemucs"]', "mdx": READY}, {"htdemucs"}, id="one of two is there"),
        pytest.param({"mdx": '{"state": "Failed"}'}, set(), id="a record of what is not wanted any more"),
        pytest.param({WANTED_KEY: '["mdx"]', "mdx": "Ready"}, {"mdx"}, id="a record that is no JSON"),
        pytest.param({WANTED_KEY: '["mdx"]', "mdx": '{"state": "Happy"}'}, {"mdx"}, id="a state that is none"),
        pytest.param({WANTED_KEY: "mdx"}, set(), id="names that are no list"),
        pytest.param({WANTED_KEY: '{"mdx": 1}'}, set(), id="names that are an object"),
        pytest.param({WANTED_KEY: '["mdx", 7]'}, {"mdx"}, id="a name that is a number"),
    ],
)
def test_what_is_still_to_come(data: dict[str, str], unready: set[str]) -> None:
    assert ModelBook.read(data).unready == unready


def test_a_record_of_a_newer_version_can_be_read() -> None:
    text = '{"state": "Ready", "percent": 100, "speed": 3}'
    assert ModelBook.read({"mdx": text}).records["mdx"].state is ModelState.READY
