"""Names, times and wire forms of the resources."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from audiojob_types import constants
from audiojob_types.base import format_time
from audiojob_types.job import AudioJob, AudioJobSpec, AudioJobStatus, ObjectName, PhaseName
from audiojob_types.pipeline import AudioPipeline, AudioPipelineSpec, Quantity

NAMES: dict[str, tuple[Any, str, bool]] = {
    "a name of 63 characters": (ObjectName, "a" * 63, True),
    "a name of 64 characters": (ObjectName, "a" * 64, False),
    "a name that begins with a digit": (ObjectName, "1st", True),
    "a name with a dot": (ObjectName, "a.b", False),
    "a name that ends in a dash": (ObjectName, "a-", False),
    "a name with a line break at its end": (ObjectName, "a\n", False),
    "an empty name": (ObjectName, "", False),
    "a phase of 12 characters": (PhaseName, "abcdefghijkl", True),
    "a phase of 13 characters": (PhaseName, "abcdefghijklm", False),
    "a phase that begins with a digit": (PhaseName, "1st", False),
    "a quantity of mebibytes": (Quantity, "512Mi", True),
    "a fraction of a core": (Quantity, "0.5", True),
    "millicores": (Quantity, "500m", True),
    "a negative quantity": (Quantity, "-1", False),
    "a word for a quantity": (Quantity, "lots", False),
}


@pytest.mark.parametrize(("kind", "text", "valid"), NAMES.values(), ids=NAMES.keys())
def test_names(kind: Any, text: str, valid: bool) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    if valid:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_constants_that_are_labels_are_valid_ones() -> None:
    labels = [value for name, value in vars(constants).items() if name.startswith("LABEL_")]
    annotations = [value for name, value in vars(constants).items() if name.startswith("ANNOTATION_")]
    assert len(labels) == len(set(labels)) > 8
    assert len(annotations) == len(set(annotations)) > 0
    for key in labels + annotations:
        assert re.fullmatch(r"[a-z0-9.-]{1,253}/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", key), key


def test_a_pod_of_the_longest_job_name_is_never_cut() -> None:
    """Kubernetes cuts the base of a pod's name at 58 characters, with its dash; the policy relies on whole names."""
    job, attempt, digest = 30, len("1000"), 8
    longest = job + 1 + constants.MAX_PHASE_NAME + 1 + attempt + 1 + digest
    assert longest + len("-") <= 58


TIMES = {
    "UTC": (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    "parts of a second are cut": (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    "another zone": (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00Z"),
}


@pytest.mark.parametrize(("moment", "text"), TIMES.values(), ids=TIMES.keys())
def test_times_are_written_as_kubernetes_does(moment: datetime, text: str) -> None:
    assert format_time(moment) == text


def test_a_minimal_job_has_the_defaults_of_the_crd() -> None:
    job = AudioJob.model_validate({"metadata": {"name": "song"}, "spec": {"pipeline": "separate"}})
    assert job.spec.to_wire() == {
        "pipeline": "separate",
        "queueName": "default",
        "suspend": False,
        "cancel": False,
        "reviews": [],
    }
    assert job.status.state == "Pending"


def test_a_whole_object_of_the_api_server_is_read() -> None:
    body = {
        "apiVersion": "audiojobs.dev/v1alpha1",
        "kind": "AudioJob",
        "metadata": {
            "name": "song", "namespace": "music", "uid": "u", "generation": 3, "resourceVersion": "42",
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "kubectl"}],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "o", "controller": True}],
        },
        "spec": {"pipeline": "separate", "startTime": "2026-01-01T00:00:00Z"},
        "status": {
            "state": "Running",
            "fromTheFuture": 1,
            "progress": {"separate": {"attempt": 1, "percent": 5, "more": True}},
            "phases": [{"name": "separate", "state": "Running", "attempt": 1, "jobName": "j"}],
        },
    }  # fmt: skip
    job = AudioJob.model_validate(body)
    assert job.metadata.creation_timestamp == datetime(2026, 1, 1, tzinfo=UTC)
    assert job.metadata.owner_references[0].uid == "o"
    assert job.status.progress["separate"].percent == 5
    assert job.status.phases[0].job_name == "j"


def test_a_spec_is_closed_and_a_status_is_open() -> None:
    with pytest.raises(ValidationError, match="colour"):
        AudioJobSpec.model_validate({"pipeline": "separate", "colour": "red"})
    assert AudioJobStatus.model_validate({"colour": "red"}) == AudioJobStatus()


def test_objects_never_change() -> None:
    spec = AudioJobSpec.model_validate({"pipeline": "separate"})
    with pytest.raises(ValidationError, match="frozen"):
        spec.cancel = True  # type: ignore[misc]


def test_the_mutable_fields_exist() -> None:
    names = {field.alias or name for name, field in AudioJobSpec.model_fields.items()}
    assert names >= AudioJobSpec.MUTABLE


def test_a_pipeline_is_read_with_its_defaults() -> None:
    spec = {"phases": [{"name": "a", "task": "Simulate", "inputs": [{"name": "x", "from": "Job"}]}]}
    pipeline = AudioPipeline.model_validate({"metadata": {"name": "p"}, "spec": spec})
    phase = pipeline.spec.phases[0]
    assert (phase.device, phase.weight, phase.resources.memory, phase.start_timeout_seconds) == ("CPU", 1, "512Mi", 300)
    assert phase.inputs[0].from_ == "Job"
    assert AudioPipelineSpec.model_validate(pipeline.spec.to_wire()) == pipeline.spec
