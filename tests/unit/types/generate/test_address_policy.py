"""The generated policy for addresses. What it does is tested on a real API server: policy/test_address_policy.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audiojob_types.generate.address_policy import NAME, policy, to_text
from audiojob_types.generate.admission_policy import bind

ROOT = Path(__file__).parents[4]


def test_it_looks_at_creation_only_and_fails_closed() -> None:
    spec = policy([])["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["operations"], rule["resources"]) == (["CREATE"], ["audiojobs"])
    assert spec["failurePolicy"] == "Fail"
    assert "namespaceSelector" not in spec["matchConstraints"]
    assert bind(NAME)["spec"] == {"policyName": policy([])["metadata"]["name"], "validationActions": ["Deny"]}


def test_a_refusal_names_the_field_in_both_sentences() -> None:
    (validation,) = policy([])["spec"]["validations"]
    assert validation["reason"] == "Invalid"
    assert validation["message"].startswith("spec.source.url: ")
    assert validation["messageExpression"].startswith("'spec.source.url: ")


@pytest.mark.parametrize(
    ("allowed", "expression"),
    [((), "[]"), (("10.0.0.0/8", "fd00::/8"), '["10.0.0.0/8","fd00::/8"]')],
    ids=["nothing is allowed", "two networks are allowed"],
)
def test_the_networks_are_a_list_of_cel(allowed: tuple[str, ...], expression: str) -> None:
    variables = {one["name"]: one["expression"] for one in policy(allowed)["spec"]["variables"]}
    assert variables["allowed"] == expression


def test_the_committed_file_is_the_generated_one() -> None:
    file = ROOT / "charts" / "audiojob" / "templates" / "address-policy.yaml"
    assert file.read_text(encoding="utf-8") == to_text(), "run `make generate`"


def test_the_file_asks_helm_for_the_networks_and_whether_policies_are_wanted() -> None:
    asked = ["if .Values.admissionPolicies.enabled", "toJson .Values.fetch.allowedCIDRs", "end"]
    assert re.findall("{{ (.*?) }}", to_text()) == asked
