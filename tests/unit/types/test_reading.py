"""What another version has written is read: every wire model, and every word that may be new."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

import audiojob_runner
import audiojob_types
from audiojob_types.base import StatusModel, WireModel
from audiojob_types.contract import Manifest, Outcome, PhaseInput, PhaseResult
from audiojob_types.models import ModelBook
from audiojob_types.progress import PhaseUsage
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.tasks import Task

SHA = "0" * 64
WITH_TORCH = {
    "audiojob_runner.models.weights",
    "audiojob_runner.separation.accelerator",
    "audiojob_runner.separation.resampling",
    "audiojob_runner.separation.separate",
    "audiojob_runner.separation.stemfiles",
    "audiojob_runner.tasks.separate",
}
"""Modules that import torch, which takes seconds: integration/runner/separation/test_records.py looks at them."""


def subclasses(model: type[WireModel]) -> Iterator[type[WireModel]]:
    for each in model.__subclasses__():
        yield each
        yield from subclasses(each)


def wire_models() -> list[type[WireModel]]:
    """Every wire model of the types and of the runner, which keeps records of its own in volumes."""
    for package in (audiojob_types, audiojob_runner):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and module.name not in WITH_TORCH:
                importlib.import_module(module.name)
    ours = {each for each in subclasses(WireModel) if each.__module__.startswith("audiojob_")}
    return sorted(ours, key=lambda each: f"{each.__module__}.{each.__name__}")


MODELS = wire_models()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_wire_model_can_be_read_with_fields_of_a_later_version(model: type[WireModel]) -> None:
    assert "extra_forbidden" not in kinds_of_errors(model, tolerant=True)


@pytest.mark.parametrize(
    "model", [each for each in MODELS if not issubclass(each, StatusModel)], ids=lambda m: m.__name__
)
def test_what_people_write_stays_closed(model: type[WireModel]) -> None:
    assert "extra_forbidden" in kinds_of_errors(model, tolerant=False)


def kinds_of_errors(model: type[WireModel], *, tolerant: bool) -> set[str]:
    given = {"fromTheFuture": {"a": [1]}}
    try:
        model.read(given) if tolerant else model.model_validate(given)
    except ValidationError as error:
        return {each["type"] for each in error.errors()}
    return set()


PHASE_FILE: dict[str, Any] = {
    "contract": 99, "job": "song", "namespace": "music", "uid": "u", "phase": "separate", "attempt": 1,
    "task": "Separate", "outputPrefix": "music/u/separate", "waitUntil": "2026-01-01T00:00:00Z",
    "inputs": [{"name": "audio", "manifest": {"key": "m", "sha256": SHA, "size": 1}, "output": "audio", "bits": 16}],
    "store": {"kind": "S3", "bucket": "music", "storageClass": "COLD"}, "limits": {"maxJoules": 5},
}  # fmt: skip
MANIFEST: dict[str, Any] = {
    "job": "song", "namespace": "music", "uid": "u", "phase": "p", "attempt": 1, "task": "Separate", "fingerprint": SHA,
    "outputs": [], "createdTime": "2026-01-01T00:00:00Z",
}  # fmt: skip


def test_fields_of_a_later_version_are_passed_over_at_any_depth() -> None:
    read = PhaseInput.read(PHASE_FILE)
    assert (read.contract, read.store.kind, read.inputs[0].output) == (99, "S3", "audio")


@pytest.mark.parametrize("task", [*(task.value for task in Task), "Mix"])
def test_a_manifest_of_any_task_is_read(task: str) -> None:
    read = Manifest.read(MANIFEST | {"task": task})
    assert read.to_wire()["task"] == task
    assert isinstance(read.task, Task) is (task != "Mix")


def test_a_status_of_a_task_of_a_later_version_survives() -> None:
    status = {"phases": [{"name": "mix", "task": "Mix", "state": "Succeeded"}]}
    job = AudioJob.model_validate({"metadata": {"name": "a"}, "spec": {"pipeline": "p"}, "status": status})
    assert job.status.to_wire()["phases"][0]["task"] == "Mix"


RESULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an outcome of a later version": ({"outcome": "Partly"}, {"outcome": None}),
    "a reason of a later version": ({"reason": "FromTheFuture"}, {"reason": "FromTheFuture"}),
    "a reason that is too long": ({"reason": "x" * 64}, {"reason": ""}),
    "a message that is too long": ({"message": "x" * 1025, "reason": "Stalled"}, {"message": "", "reason": "Stalled"}),
    "more outputs than are shown": (
        {"outputs": [{"name": "a", "mediaType": "b", "bytes": 1, "sha256": SHA}] * 13}, {"outputs": ()},
    ),
    "an output of another form": ({"outputs": [{"title": "a"}]}, {"outputs": ()}),
    "a negative peak of memory": ({"peakMemoryBytes": -1}, {"peak_memory_bytes": None}),
    "an absurd peak of memory": ({"peakMemoryBytes": 10**18}, {"peak_memory_bytes": None}),
    "a pause of years": ({"retryAfterSeconds": 10**9}, {"retry_after_seconds": None}),
    "a new field": ({"joules": {"cpu": 1}}, {"outcome": Outcome.FAILED}),
    "a field of the usage of a later version": (
        {"usage": {"cpu": 1, "joules": 5}}, {"usage": PhaseUsage(cpu_milliseconds=1)},
    ),
    "a negative usage": ({"usage": {"cpu": -1}}, {"usage": None}),
    "an absurd usage": ({"usage": {"work": 10**18}}, {"usage": None}),
    "a usage in words": ({"usage": {"read": "much"}}, {"usage": None}),
    "half a byte": ({"usage": {"written": 1.5}}, {"usage": None}),
    "a usage that is no record": ({"usage": [1]}, {"usage": None}),
    "sound of more than a week": ({"usage": {"media": 604_800_001}}, {"usage": None}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "read"), RESULTS.values(), ids=RESULTS.keys())
def test_a_result_stands_without_what_is_not_valid_here(given: dict[str, Any], read: dict[str, Any]) -> None:
    result = PhaseResult.read({"outcome": "Failed", **given})
    assert {name: getattr(result, name) for name in read} == read


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 3_000])
def test_a_result_stands_beside_a_usage_that_is_no_number(number: str) -> None:
    result = PhaseResult.read(f'{{"outcome": "Failed", "reason": "Stalled", "usage": {{"cpu": {number}}}}}')
    assert (result.reason, result.usage) == ("Stalled", None)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
@pytest.mark.parametrize(
    ("model", "record", "field"),
    [
        pytest.param(PhaseInput, PHASE_FILE, "parameters", id="parameters of a phase"),
        pytest.param(Manifest, MANIFEST, "metadata", id="metadata of a manifest"),
    ],
)
def test_a_number_that_cannot_be_written_again_is_not_read(
    model: type[WireModel], record: dict[str, Any], field: str, number: str
) -> None:
    text = json.dumps(record | {field: {"deep": [{"number": 7}]}})
    model.read(text)
    with pytest.raises(ValidationError, match="not finite"):
        model.read(text.replace(": 7}", f": {number}}}"))


@pytest.mark.parametrize("outcome", [None, 3, ["Succeeded"]])
def test_a_result_without_a_word_of_its_outcome_is_none(outcome: object) -> None:
    with pytest.raises(ValidationError):
        PhaseResult.read({"outcome": outcome})


def test_a_model_in_a_state_of_a_later_version_is_not_ready() -> None:
    book = ModelBook.read({"models": '["htdemucs"]', "htdemucs": '{"state": "Verifying", "checks": 3}'})
    assert book.unready == {"htdemucs"}


def test_a_pipeline_of_a_later_version_is_read() -> None:
    read = AudioPipeline.read(
        {"metadata": {"name": "p"}, "spec": {"phases": [{"name": "a", "task": "Simulate", "overlap": "Auto"}]}}
    )
    assert read.spec.phases[0].name == "a"
