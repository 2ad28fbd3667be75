"""The generated policies for the operator. A real API server shows what they do: policy/test_operator_policy.py."""

from __future__ import annotations

from pathlib import Path

from audiojob_operator.operator_policy import JOBS_NAME, policies, to_text
from audiojob_operator.policy_parts import IS_WORKER
from audiojob_operator.worker_policy import WORKERS_NAME

ROOT = Path(__file__).parents[3]


def test_they_look_at_the_operator_alone_and_fail_closed() -> None:
    for policy in policies():
        condition, *_ = policy["spec"]["matchConditions"]
        assert condition["expression"].startswith("request.userInfo.username == ")
        assert policy["spec"]["failurePolicy"] == "Fail"


def test_every_job_has_a_policy_whether_of_a_phase_or_of_a_worker() -> None:
    some = {
        policy["metadata"]["name"]: [each["expression"] for each in policy["spec"]["matchConditions"][1:]]
        for policy in policies()
    }
    narrowed = {name: conditions for name, conditions in some.items() if conditions}
    assert narrowed == {JOBS_NAME: [f"!{IS_WORKER}"], WORKERS_NAME: [IS_WORKER]}


def test_every_refusal_is_one_that_the_operator_tries_again_and_names_the_field_and_what_to_do() -> None:
    validations = [each for policy in policies() for each in policy["spec"]["validations"]]
    assert {each["reason"] for each in validations} == {"Forbidden"}, "Invalid would end the job for good"
    for policy in policies():
        own = [each["message"] for each in policy["spec"]["validations"]]
        assert len(set(own)) == len(own)
    for message in {each["message"] for each in validations}:
        assert message.startswith(("metadata", "spec", "involvedObject: ", "status."))
        assert any(word in message for word in ("add", "leave", "name", "delete", "cancel", "write"))
        assert len(message) < 400


def test_the_committed_file_is_the_generated_one() -> None:
    file = ROOT / "charts" / "audiojob" / "templates" / "operator-policy.yaml"
    assert file.read_text(encoding="utf-8") == to_text(), "run `make generate`"
