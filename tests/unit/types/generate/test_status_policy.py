"""The generated policy for statuses elsewhere. A real API server shows what it does: policy/test_operator_policy.py."""

from __future__ import annotations

from pathlib import Path

from audiojob_types.generate.admission_policy import template
from audiojob_types.generate.status_policy import SAID_FIELDS, kept_fields, policy
from audiojob_types.resources.job import AudioJobStatus

ROOT = Path(__file__).parents[4]


def test_every_status_field_is_kept_or_says_why_nothing_runs() -> None:
    fields = {field.alias or name for name, field in AudioJobStatus.model_fields.items()}
    assert set(kept_fields()) | SAID_FIELDS == fields
    text = " ".join(each["expression"] for each in policy()["spec"]["validations"])
    for field in kept_fields():
        assert f"object.?status.?{field} == oldObject.?status.?{field}" in text


def test_refusals_are_such_as_the_operator_tries_again() -> None:
    assert {each["reason"] for each in policy()["spec"]["validations"]} == {"Forbidden"}


def test_the_committed_file_is_the_generated_one() -> None:
    file = ROOT / "charts" / "audiojob" / "templates" / "status-policy.yaml"
    assert file.read_text(encoding="utf-8") == template(policy()), "run `make generate`"
