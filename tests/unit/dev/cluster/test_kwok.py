"""Simulated nodes: what kwok is told to do with pods, and what it is built from."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiojob_dev.cluster import kwok
from audiojob_dev.paths import Paths, repository
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries, versions
from audiojob_operator.building.names import child_labels, output_prefix
from audiojob_operator.deciding.attempts.verdict import judge
from audiojob_operator.records.observation import PhaseObservation, Succeeded
from audiojob_types.contract import MAX_RESULT_BYTES, Device, Outcome, PhaseResult
from audiojob_types.resources.pipeline import Phase
from audiojob_types.tasks import Task

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_UID = "8f9d2c55-8f54-4d0a-9d53-0a9b6a3f2c11"
_POD_UID = "0b7f1e0a-1111-4222-8333-444444444444"


def _stages(stages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {stage["metadata"]["name"]: stage["spec"] for stage in stages}


def _message(labels: dict[str, str]) -> str:
    """The termination message that kwok makes: Go's printf knows %s and %.8s as Python does."""
    found = re.fullmatch(r"\{\{ printf `(.*)` (.*) \| Quote \}\}", kwok.result_template())
    assert found is not None
    values = []
    for argument in re.findall(r"\([^)]*\)|\S+", found[2]):
        label = re.search(r'"(.*)"', argument)
        values.append(labels[label[1]] if label else {".metadata.namespace": "ns", ".metadata.uid": _POD_UID}[argument])
    return found[1] % tuple(values)


def test_a_simulated_pod_ends_with_a_result_that_the_operator_believes() -> None:
    labels = child_labels(job="song", uid=_UID, phase="two", attempt=3, queue="default", pipeline="bench")
    message = _message(labels)
    result = PhaseResult.model_validate_json(message)
    assert result.outcome is Outcome.SUCCEEDED
    assert len(message) <= MAX_RESULT_BYTES
    child = PhaseObservation(
        job_name="song-two-3-0",
        job_uid="job-uid",
        phase="two",
        attempt=3,
        revision="r",
        device=Device.CPU,
        created=_NOW,
        outcome=Succeeded(result=result, finished=_NOW),
    )
    prefix = f"{output_prefix('ns', _UID)}/two"
    verdict = judge(child, Phase(name="two", task=Task.SIMULATE), prefix, _NOW)
    assert isinstance(verdict.outcome, Succeeded)
    assert result.manifest is not None
    assert result.manifest.key == f"{prefix}/3-{_POD_UID[:8]}/manifest.json"


def test_a_pod_runs_as_long_as_asked_before_it_succeeds() -> None:
    stages = _stages(kwok.pod_stages(run_milliseconds=2_500))
    assert stages["pod-complete"]["delay"] == {"durationMilliseconds": 2_500}
    assert "exitCode: 0" in stages["pod-complete"]["next"]["statusTemplate"]
    assert "phase: Succeeded" in stages["pod-complete"]["next"]["statusTemplate"]


def test_a_message_of_ones_own_takes_the_place_of_the_result() -> None:
    status = _stages(kwok.pod_stages(message='"no JSON"'))["pod-complete"]["next"]["statusTemplate"]
    assert 'message: "no JSON"' in status
    assert "Succeeded" in status
    assert "manifest" not in status


def test_a_deleted_pod_first_fails_as_if_stopped_and_keeps_its_finalizers() -> None:
    stages = _stages(kwok.pod_stages())
    assert "exitCode: 143" in stages["pod-stop"]["next"]["statusTemplate"]
    assert "phase: Failed" in stages["pod-stop"]["next"]["statusTemplate"]
    assert stages["pod-delete"]["next"] == {"delete": True}
    phases = [
        expression["values"]
        for name in ("pod-stop", "pod-delete")
        for expression in stages[name]["selector"]["matchExpressions"]
        if expression["key"] == ".status.phase"
    ]
    assert set(phases[0]).isdisjoint(phases[1]), "each state of a deleted pod has one stage"


def test_the_configuration_is_one_document_for_the_options_and_one_for_each_stage() -> None:
    stages = kwok.node_stages() + kwok.pod_stages()
    documents = list(yaml.safe_load_all(kwok.configuration(stages)))
    assert documents[0]["kind"] == "KwokConfiguration"
    assert documents[1:] == stages


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [pytest.param(0, None, id="a plain node offers none"), pytest.param(2, "2", id="a node with two offers two")],
)
def test_nodes_offer_the_gpus_that_they_are_given(gpus: int, expected: str | None) -> None:
    assert kwok.node("n", gpus=gpus)["status"]["allocatable"].get("nvidia.com/gpu") == expected
    assert json.dumps(kwok.node("n", gpus=gpus))


@pytest.mark.parametrize("binary", [versions.KWOK, versions.DASHBOARD_CHECK], ids=lambda each: each.name)
def test_it_lies_apart_so_that_its_version_never_has_the_others_built_again(binary: versions.Binary) -> None:
    assert binary.name not in {each.name for each in versions.BINARIES}
    assert binary.folder not in {each.folder for each in versions.BINARIES} or binary.module_version


def test_a_program_that_is_there_is_not_built_again(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    program = paths.cache / "bin" / f"kwok-{versions.KWOK.module_version}" / "kwok"
    program.parent.mkdir(parents=True)
    program.write_text("")
    with Progress() as progress:
        assert binaries.ensure_apart(paths, versions.KWOK, progress) == program


def test_a_program_of_ours_lies_where_its_sources_say(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    module = versions.go_module_directory(repository())
    key = versions.binaries_key(module, [versions.DASHBOARD_CHECK])
    assert key != versions.binaries_key(module)
    program = paths.cache / "bin" / f"dashboards-{key}" / "dashboards"
    program.parent.mkdir(parents=True)
    program.write_text("")
    with Progress() as progress:
        assert binaries.ensure_apart(paths, versions.DASHBOARD_CHECK, progress) == program
