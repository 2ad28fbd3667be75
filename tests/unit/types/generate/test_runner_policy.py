"""The generated admission policy: nothing forgotten, nothing half said. What it does is tested on a real API server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import Field, create_model

from audiojob_types.contract import Outcome, PhaseResult
from audiojob_types.generate import runner_policy as module
from audiojob_types.generate.admission_policy import bind, template
from audiojob_types.generate.runner_policy import NAME, RUNNER_FIELDS, operator_fields, policy
from audiojob_types.resources.job import AudioJobStatus
from audiojob_types.workers.order import RESULT_HEAD, ReportedEnd

ROOT = Path(__file__).parents[4]


def expressions() -> list[str]:
    return [validation["expression"] for validation in policy()["spec"]["validations"]]


def test_every_status_field_is_guarded_or_the_runners() -> None:
    fields = {field.alias or name for name, field in AudioJobStatus.model_fields.items()}
    assert set(operator_fields()) | RUNNER_FIELDS == fields
    text = " ".join(expressions())
    for field in operator_fields():
        assert f"object.?status.?{field} == oldObject.?status.?{field}" in text
    for field in RUNNER_FIELDS:
        assert f"oldObject.?status.?{field})" not in text.replace(" ", "")


def test_a_new_field_of_the_model_is_guarded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = create_model("Newer", __base__=AudioJobStatus, queue_position=(int, Field(default=0)))
    monkeypatch.setattr(module, "AudioJobStatus", newer)
    assert any("object.?status.?queuePosition == oldObject.?status.?queuePosition" in text for text in expressions())


def test_every_refusal_is_forbidden_and_says_why() -> None:
    messages = [validation["message"] for validation in policy()["spec"]["validations"]]
    assert len(set(messages)) == len(messages)
    assert all("must" in message or "may" in message for message in messages)
    unprocessable = {each["message"] for each in policy()["spec"]["validations"] if each["reason"] != "Forbidden"}
    assert unprocessable == {"status.percent must not fall"}, "to be reported again without it"


def test_the_text_of_a_result_begins_as_the_policy_knows_it() -> None:
    end = ReportedEnd(attempt=12, exit_code=0, result=PhaseResult(outcome=Outcome.FAILED))
    assert end.to_text().startswith(RESULT_HEAD % 12)


def test_it_fails_closed_and_denies() -> None:
    assert policy()["spec"]["failurePolicy"] == "Fail"
    assert bind(NAME)["spec"] == {"policyName": policy()["metadata"]["name"], "validationActions": ["Deny"]}
    assert "namespaceSelector" not in policy()["spec"]["matchConstraints"]


def test_the_committed_file_is_the_generated_one() -> None:
    file = ROOT / "charts" / "audiojob" / "templates" / "runner-policy.yaml"
    assert file.read_text(encoding="utf-8") == template(policy()), "run `make generate`"


def test_the_file_asks_helm_only_whether_policies_are_wanted() -> None:
    assert re.findall("^.*{{.*$", template(policy()), re.MULTILINE) == [
        "# {{ if .Values.admissionPolicies.enabled }}",
        "# {{ end }}",
    ]
