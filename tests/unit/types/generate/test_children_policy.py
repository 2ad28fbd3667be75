"""The generated policies for Jobs and pods as they run. A real API server shows what they do: tests/integration."""

from __future__ import annotations

from pathlib import Path

from audiojob_types.generate.admission_policy import template
from audiojob_types.generate.children_policy import policies

FILE = Path(__file__).parents[4] / "charts" / "audiojob" / "templates" / "children-policy.yaml"


def test_every_refusal_says_what_to_leave_or_change() -> None:
    messages = [each["message"] for policy in policies() for each in policy["spec"]["validations"]]
    assert len(set(messages)) == len(messages)
    assert all("leave" in message or "change the AudioJob" in message for message in messages)
    assert {each["reason"] for policy in policies() for each in policy["spec"]["validations"]} == {"Forbidden"}


def test_the_committed_file_is_the_generated_one() -> None:
    assert FILE.read_text(encoding="utf-8") == template(*policies()), "run `make generate`"
