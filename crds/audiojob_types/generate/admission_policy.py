"""What all ValidatingAdmissionPolicies of the chart have in common: their labels, their binding, and their file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from audiojob_types.constants import GROUP
from audiojob_types.generate.crd import HEADER, to_yaml

CONDITION: Final = "# {{ if .Values.admissionPolicies.enabled }}\n"
END: Final = "# {{ end }}\n"
LABELS: Final = {"app.kubernetes.io/part-of": "audiojob"}


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


def template(policy: dict[str, Any]) -> str:
    """The file in the chart: the policy and its binding. Its condition is a comment to kubectl, which takes it too."""
    text = f"{to_yaml(policy)}---\n{to_yaml(bind(policy['metadata']['name']))}"
    return f"{HEADER}{CONDITION}{text}{END}"


def write(text: str) -> None:
    """Write the text to the files that the command line names, and print their names."""
    for argument in sys.argv[1:]:
        Path(argument).write_text(text, encoding="utf-8")
        print(argument)
