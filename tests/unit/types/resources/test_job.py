"""AudioJobs as they are read and written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from audiojob_types.resources.job import AudioJob, AudioJobSpec, AudioJobStatus, PhaseName

PHASE_NAMES = {
    "a phase of 12 characters": ("abcdefghijkl", True),
    "a phase of 13 characters": ("abcdefghijklm", False),
    "a phase that begins with a digit": ("1st", False),
}


@pytest.mark.parametrize(("text", "valid"), PHASE_NAMES.values(), ids=PHASE_NAMES.keys())
def test_names_of_phases(text: str, valid: bool) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(PhaseName)
    if valid:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_a_minimal_job_has_the_defaults_of_the_crd() -> None:
    job = AudioJob.model_validate({"metadata": {"name": "song"}, "spec": {"pipeline": "separate"}})
    assert job.spec.to_wire() == {
        "pipeline": "separate",
        "inputs": [],
        "queueName": "default",
        "suspend": False,
        "cancel": False,
        "reuse": "Allowed",
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
