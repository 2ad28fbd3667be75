"""What runners of earlier versions left behind is read (tests/data/stored)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stored import STORED
from tests.unit.operator.test_stored import covers

from audiojob_runner.fetch.partial.format import parse_about
from audiojob_runner.models.volume import Lock
from audiojob_runner.settings import read_parameters
from audiojob_runner.sweep.index import JobIndex
from audiojob_types.base import WireModel
from audiojob_types.contract import Manifest, PhaseInput, PhaseResult
from audiojob_types.models import ModelBook, ModelRecord
from audiojob_types.resources.job import PhaseProgressReport

FOLDERS = sorted(STORED.glob("*/runner"), key=lambda path: path.parent.name)


def about(content: bytes) -> WireModel:
    read = parse_about(content)
    assert read is not None
    return read


READERS: dict[str, Callable[[bytes], WireModel]] = {
    "phase.json": PhaseInput.read,
    "manifest.json": Manifest.read,
    "result-succeeded.json": PhaseResult.read,
    "result-failed.json": PhaseResult.read,
    "models.json": Lock.read,
    "about.json": about,
    "index.json": JobIndex.read,
}
RECORDS = [pytest.param(folder, name, id=f"{name} of {folder.parent.name}") for folder in FOLDERS for name in READERS]


@pytest.mark.parametrize(("folder", "name"), RECORDS)
def test_a_record_survives_reading_and_writing(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    assert covers(READERS[name](content).to_wire(), json.loads(content))


@pytest.mark.parametrize(("folder", "name"), RECORDS)
def test_a_record_with_a_field_more_at_every_depth_is_read_the_same(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    assert READERS[name](json.dumps(with_more(json.loads(content))).encode()) == READERS[name](content)


def with_more(record: Any, inside: str = "") -> Any:
    """The record as a later version may write it. Maps whose keys are data stay as they are."""
    if isinstance(record, list):
        return [with_more(each) for each in record]
    if not isinstance(record, dict):
        return record
    grown = {key: with_more(value, key) for key, value in record.items()}
    return grown if inside in {"files", "metadata", "weights", "parameters"} else grown | {"fromTheFuture": [{"a": 1}]}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_the_parameters_of_a_phase_file_are_read(folder: Path) -> None:
    phase_input = PhaseInput.read((folder / "phase.json").read_bytes())
    assert covers(read_parameters(phase_input).to_wire(), phase_input.parameters)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_progress_and_models_are_read(folder: Path) -> None:
    progress = json.loads((folder / "progress.json").read_text())["status"]["progress"]
    assert {name: PhaseProgressReport.read(each).percent for name, each in progress.items()} == {"one": 40}
    book = ModelBook.read(json.loads((folder / "configmap-models.json").read_text())["data"])
    assert {name: record.state for name, record in book.records.items()} == {"htdemucs": "Ready", "mdx": "Failed"}
    assert all(isinstance(record, ModelRecord) for record in book.records.values())
