"""The hook that upgrades CRDs: when it runs, with what rights, and that it brings what the chart ships."""

from __future__ import annotations

import json

import pytest
from tests.chart.helm import Helm, Object, RefusedError, find, merged

from audiojob_types.generate.crd import CRDS

pytestmark = pytest.mark.chart

BASE: Object = {"jobNamespaces": ["music"]}
KINDS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "Job")


def test_it_runs_before_upgrades_alone_and_leaves_nothing(helm: Helm) -> None:
    objects = [find(helm.render(BASE), kind, "audiojob-crds") for kind in KINDS]
    hooks = [each["metadata"]["annotations"] for each in objects]
    assert {each["helm.sh/hook"] for each in hooks} == {"pre-upgrade"}, "a rollback must not take fields away"
    assert {each["helm.sh/hook-delete-policy"] for each in hooks} == {"before-hook-creation,hook-succeeded"}
    weights = [int(each["helm.sh/hook-weight"]) for each in hooks]
    assert max(weights[:-1]) < weights[-1], "what the Job needs is there before it"


def test_it_brings_the_crds_of_the_chart(whole: Helm) -> None:
    objects = whole.render(BASE)
    data = find(objects, "ConfigMap", "audiojob-crds")["data"]
    assert {name: json.loads(text) for name, text in data.items()} == {
        name.replace(".yaml", ".json"): json.loads(json.dumps(make())) for name, make in CRDS.items()
    }
    container = find(objects, "Job", "audiojob-crds")["spec"]["template"]["spec"]["containers"][0]
    assert sorted(container["args"]) == sorted(f"/crds/{name}" for name in data)


def test_it_may_touch_our_crds_and_nothing_else(whole: Helm) -> None:
    create, ours = find(whole.render(BASE), "ClusterRole", "audiojob-crds")["rules"]
    assert (create["resources"], create["verbs"]) == (["customresourcedefinitions"], ["create"])
    assert (sorted(ours["resourceNames"]), ours["verbs"]) == (
        sorted(make()["metadata"]["name"] for make in CRDS.values()), ["get", "patch"],
    )  # fmt: skip


def test_without_it_nothing_of_it_is_there(helm: Helm) -> None:
    objects = helm.render(merged(BASE, {"crds": {"upgrade": False}}))
    assert [each["kind"] for each in objects if each["metadata"]["name"] == "audiojob-crds"] == []
    with pytest.raises(RefusedError):
        helm.render(merged(BASE, {"crds": {"upgrade": "no"}}))
