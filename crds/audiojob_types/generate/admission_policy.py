"""What all ValidatingAdmissionPolicies of the chart have in common: their labels, their binding, and their file."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from audiojob_types.constants import GROUP
from audiojob_types.generate.crd import SOURCE, header, to_yaml

CONDITION: Final = "# {{ if .Values.admissionPolicies.enabled }}\n"
END: Final = "# {{ end }}\n"
LABELS: Final = {"app.kubernetes.io/part-of": "audiojob"}
OF_THE_OPERATOR: Final = {
    "name": "operator",
    "expression": "request.userInfo.username == '{{ include \"audiojob.operatorUser\" . }}'",
}
"""A match condition for the chart: requests of the operator's account."""


def policy_of(name: str, rule: dict[str, Any], **spec: list[dict[str, str]]) -> dict[str, Any]:
    """A policy for what the rule of resources matches, in all API versions. Where it cannot be asked, nothing passes.

    ``spec``: its ``matchConditions``, ``variables`` and ``validations``.
    """
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": LABELS},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [GROUP], "apiVersions": ["*"], **rule}]},
            **spec,
        },
    }


def bind(policy: str) -> dict[str, Any]:
    """Puts the policy of that name in force in every namespace."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy, "labels": LABELS},
        "spec": {"policyName": policy, "validationActions": ["Deny"]},
    }


def forbid(unless: str, message: str) -> dict[str, str]:
    """A validation: what does not fulfil the expression is refused as Forbidden."""
    return {"expression": unless, "message": message, "reason": "Forbidden"}


def template(*policies: dict[str, Any], source: str = SOURCE) -> str:
    """The file in the chart: policies and bindings. Its condition is a comment to kubectl, which takes it too.

    ``source``: the folder of the code that makes them.
    """
    objects = [each for policy in policies for each in (policy, bind(policy["metadata"]["name"]))]
    text = "---\n".join(map(to_yaml, objects))
    return f"{header(source)}{CONDITION}{text}{END}"


def literal(value: Any) -> str:
    """The value as CEL, whose lists and maps hold values of one type: others are marked as dynamic."""
    if isinstance(value, dict):
        pairs = zip(value, _alike(value.values()), strict=True)
        return f"{{{', '.join(f'{json.dumps(key)}: {each}' for key, each in pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_alike(value))}]"
    return json.dumps(value)  # of text, numbers and booleans CEL has JSON's spelling


def _alike(values: Collection[Any]) -> list[str]:
    if all(isinstance(each, str) for each in values):
        return [literal(each) for each in values]
    return [f"dyn({literal(each)})" for each in values]


def write(text: str) -> None:
    """Write the text to the files that the command line names, and print their names."""
    for argument in sys.argv[1:]:
        Path(argument).write_text(text, encoding="utf-8")
        print(argument)
