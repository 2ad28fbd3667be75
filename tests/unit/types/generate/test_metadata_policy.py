"""The generated policy for metadata. What it does is tested on a real API server: policy/test_metadata_policy.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import bind, template
from audiojob_types.generate.crd import CRDS
from audiojob_types.generate.metadata_policy import NAME, policy

ROOT = Path(__file__).parents[4]


def test_it_looks_at_all_of_our_kinds_and_fails_closed() -> None:
    spec = policy()["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert set(rule["resources"]) == {crd()["spec"]["names"]["plural"] for crd in CRDS.values()}
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert spec["failurePolicy"] == "Fail"
    assert bind(NAME)["spec"] == {"policyName": policy()["metadata"]["name"], "validationActions": ["Deny"]}


def test_every_refusal_names_the_field_and_what_to_do() -> None:
    for validation in policy()["spec"]["validations"]:
        assert validation["message"].startswith("metadata.")
        assert any(words in validation["message"] for words in ("remove", "use", "leave"))


def test_the_committed_file_is_the_generated_one() -> None:
    file = ROOT / "charts" / "audiojob" / "templates" / "metadata-policy.yaml"
    assert file.read_text(encoding="utf-8") == template(policy()), "run `make generate`"


def depth(node: dict[str, Any]) -> int:
    """How deep field managers' records of such an object may go: an element of a list is one level more."""
    children = [*node.get("properties", {}).values()]
    if isinstance(node.get("additionalProperties"), dict):
        children.append(node["additionalProperties"])
    if "items" in node and node.get("x-kubernetes-list-type") == "map":
        children.append(node["items"])
    return 1 + max(map(depth, children), default=0)


def test_no_field_of_ours_lies_deeper_than_the_policy_looks() -> None:
    from audiojob_types.generate.metadata_policy import _FIELD_DEPTH

    for crd in CRDS.values():
        schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert depth(schema) <= _FIELD_DEPTH


def test_all_that_metadata_may_hold_is_far_below_what_etcd_takes() -> None:
    most = sum(getattr(c, name) for name in vars(c) if name.startswith("MAX_") and name.endswith("_BYTES"))
    assert most < 512 * 1024
