"""Rights that the chart gives: nobody has more than is listed here."""

from __future__ import annotations

import pytest
from tests.chart.helm import Helm, Object, find, of_kind
from tests.chart.test_objects import EVERYTHING, MINIMAL

pytestmark = pytest.mark.chart


# ---------------------------------------------------------------- rights


def rules(objects: list[Object]) -> dict[str, list[str]]:
    """Rights by role: `group/resource: verbs`, sorted."""
    snapshot = {}
    for role in of_kind(objects, "Role", "ClusterRole"):
        place = role["metadata"].get("namespace", "*")
        lines = [
            f"{group or 'core'}/{resource}{rule.get('resourceNames', '')}: {' '.join(rule['verbs'])}"
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        ]
        snapshot[f"{place}/{role['metadata']['name']}"] = sorted(lines)
    return snapshot


RIGHTS = {
    "*/audiojob-crds": [
        "apiextensions.k8s.io/customresourcedefinitions: create",
        (
            "apiextensions.k8s.io/customresourcedefinitions['audiojobs.audiojobs.dev', "
            "'audiopipelines.audiojobs.dev', 'audioqueues.audiojobs.dev', 'audioworkerpools.audiojobs.dev']: get patch"
        ),
    ],
    "*/audiojob-operator": [
        "audiojobs.dev/audiojobs/status: patch",
        "audiojobs.dev/audiojobs: get list watch",
        "audiojobs.dev/audiopipelines/status: patch",
        "audiojobs.dev/audiopipelines: get list watch",
        "audiojobs.dev/audioqueues/status: patch",
        "audiojobs.dev/audioqueues: get list watch",
        "audiojobs.dev/audioworkerpools/status: patch",
        "audiojobs.dev/audioworkerpools: get list watch",
        "core/nodes: get list watch",
    ],
    "audiojob-demo/audiojob-operator": [
        "apps/controllerrevisions: get list watch create delete",
        "audiojobs.dev/audiojobs: delete",
        "batch/jobs: get list watch create delete",
        "core/configmaps['audiojob-models']: get list watch",
        "core/events: create",
        "core/pods: get list watch patch",
    ],
    "audiojob-system/audiojob-operator-lease": [
        "coordination.k8s.io/leases: create",
        "coordination.k8s.io/leases['audiojob-operator']: get patch",
    ],
    "*/audiojob-api": [
        "audiojobs.dev/audiopipelines: get",
        "authentication.k8s.io/tokenreviews: create",
        "authorization.k8s.io/subjectaccessreviews: create",
    ],
    "audiojob-system/audiojob-api-lease": ["coordination.k8s.io/leases['audiojob-operator']: get"],
    "audiojob-demo/audiojob-api": ["audiojobs.dev/audiojobs: get list watch create patch attest"],
    "audiojob-demo/audiojob-runner": ["audiojobs.dev/audiojobs/status: patch"],
    "audiojob-demo/audiojob-sweeper": ["audiojobs.dev/audiojobs: get list"],
    "*/audiojob-view": [
        "audiojobs.dev/audiojobs: get list watch",
        "audiojobs.dev/audiopipelines: get list watch",
        "audiojobs.dev/audioqueues: get list watch",
    ],
    "*/audiojob-edit": ["audiojobs.dev/audiojobs: get list watch create update patch delete deletecollection"],
}


def test_nobody_has_more_rights_than_listed_here(whole: Helm) -> None:
    assert rules(whole.render(MINIMAL)) == RIGHTS


def test_no_right_is_a_wildcard_or_leads_to_others(helm: Helm) -> None:
    forbidden_resources = {
        "*",
        "secrets",
        "pods/exec",
        "pods/log",
        "pods/attach",
        "serviceaccounts/token",
        "namespaces",
    }
    forbidden_verbs = {"*", "escalate", "bind", "impersonate"}
    for role in of_kind(helm.render(EVERYTHING), "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"]
            assert forbidden_resources.isdisjoint(rule["resources"]), role["metadata"]["name"]
            assert forbidden_verbs.isdisjoint(rule["verbs"]), role["metadata"]["name"]


def test_every_binding_names_a_role_and_an_account_of_the_release(helm: Helm) -> None:
    objects = helm.render(EVERYTHING)
    for bound in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        place = bound["metadata"].get("namespace")
        find(objects, bound["roleRef"]["kind"], bound["roleRef"]["name"], place)
        for subject in bound["subjects"]:
            find(objects, "ServiceAccount", subject["name"], subject["namespace"])
