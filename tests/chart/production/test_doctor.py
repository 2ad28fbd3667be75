"""``helm test``: the doctor's account may read what the doctor asks about, and nothing else."""

from __future__ import annotations

import pytest
from tests.chart.helm import Helm, ci_values, find, of_kind

pytestmark = pytest.mark.chart

READING = {"get", "list"}
ASKING = ("authorization.k8s.io", "subjectaccessreviews")


@pytest.mark.parametrize("values", ci_values().values(), ids=ci_values())
def test_its_account_reads_and_asks_and_no_more(helm: Helm, values: dict[str, object]) -> None:
    objects = helm.render(values, tests=True)
    roles = [each for each in of_kind(objects, "ClusterRole", "Role") if each["metadata"]["name"].endswith("-doctor")]
    rules = [rule for role in roles for rule in role["rules"]]
    namespaces = values["jobNamespaces"]
    assert isinstance(namespaces, list)

    assert len(roles) == 2 + len(namespaces)
    for rule in rules:
        group, resource = rule["apiGroups"], rule["resources"]
        assert set(rule["verbs"]) <= READING or (*group, *resource) == ASKING
        assert "secrets" not in resource


def test_it_has_the_operators_settings_and_is_a_test_of_helm(helm: Helm) -> None:
    objects = helm.render({"jobNamespaces": ["music"]}, tests=True)
    pod, operator = find(objects, "Pod", "audiojob-doctor"), find(objects, "Deployment", "audiojob-operator")
    (container,) = pod["spec"]["containers"]
    (theirs,) = operator["spec"]["template"]["spec"]["containers"]

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container["image"] == theirs["image"]
    assert container["env"] == [each for each in theirs["env"] if each["name"] == "AUDIOJOB_SETTINGS_FILE"]
    assert container["args"] == ["--api", "http://audiojob-api.audiojob-system.svc:80/readyz"]
    assert [each for each in pod["spec"]["volumes"] if each["name"] == "settings"] == [
        each for each in operator["spec"]["template"]["spec"]["volumes"] if each["name"] == "settings"
    ]
