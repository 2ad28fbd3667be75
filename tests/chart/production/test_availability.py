"""Upgrades, drains and nodes of other kinds: how many pods there are, where they lie, and who goes first."""

from __future__ import annotations

import pytest
from tests.chart.helm import Helm, Object, find, merged, nested, of_kind

pytestmark = pytest.mark.chart

BASE: Object = {"jobNamespaces": ["music"]}
SYSTEM = "audiojob-system"
ARCH = "kubernetes.io/arch"


def rendered(helm: Helm, *changes: Object) -> list[Object]:
    values = BASE
    for change in changes:
        values = merged(values, change)
    return helm.render(values)


def pod_of(objects: list[Object], name: str) -> Object:
    found: Object = find(objects, "Deployment", name)["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("replicas", "strategy", "budgets"),
    [
        pytest.param(1, "Recreate", [], id="one alone: a budget would keep its node from being drained"),
        pytest.param(2, "RollingUpdate", ["audiojob-operator"], id="two: one waits for the Lease of the other"),
    ],
)
def test_operators(helm: Helm, replicas: int, strategy: str, budgets: list[str]) -> None:
    objects = rendered(helm, nested("operator.replicas", replicas))
    deployment = find(objects, "Deployment", "audiojob-operator")["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (replicas, strategy)
    found = of_kind(objects, "PodDisruptionBudget")
    assert [each["metadata"]["name"] for each in found] == budgets
    for each in found:
        assert each["spec"]["maxUnavailable"] == 1
        assert each["spec"]["selector"] == deployment["selector"]
    spread = deployment["template"]["spec"].get("topologySpreadConstraints", [])
    assert [each["whenUnsatisfiable"] for each in spread] == ["ScheduleAnyway"] * (2 if replicas > 1 else 0)


def test_the_api_scales_by_cpu_and_then_nothing_sets_its_number(helm: Helm) -> None:
    objects = rendered(helm, nested("api.autoscaling.enabled", True))
    scaler = find(objects, "HorizontalPodAutoscaler", "audiojob-api", SYSTEM)["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert scaler["scaleTargetRef"]["name"] == "audiojob-api"
    assert "replicas" not in find(objects, "Deployment", "audiojob-api")["spec"]
    assert find(objects, "PodDisruptionBudget", "audiojob-api", SYSTEM)["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(("replicas", "budgets"), [(1, []), (2, ["audiojob-api"])])
def test_the_api_has_a_budget_from_two_pods_on(helm: Helm, replicas: int, budgets: list[str]) -> None:
    objects = rendered(helm, nested("api.replicas", replicas))
    assert [each["metadata"]["name"] for each in of_kind(objects, "PodDisruptionBudget")] == budgets


def test_without_the_api_nothing_of_it_is_left(helm: Helm) -> None:
    objects = rendered(helm, {"api": {"enabled": False, "replicas": 3, "autoscaling": {"enabled": True}}})
    assert of_kind(objects, "PodDisruptionBudget", "HorizontalPodAutoscaler") == []


def test_operator_and_api_go_before_phases_unless_the_administrator_names_a_class(helm: Helm) -> None:
    objects = rendered(helm, nested("api.priorityClassName", "urgent"))
    assert find(objects, "PriorityClass", "audiojob-control")["value"] > 0
    assert pod_of(objects, "audiojob-operator")["priorityClassName"] == "audiojob-control"
    assert pod_of(objects, "audiojob-api")["priorityClassName"] == "urgent"
    without = rendered(helm, nested("priorityClass.create", False))
    assert "priorityClassName" not in pod_of(without, "audiojob-operator")


def test_row_18_pods_go_only_where_their_image_runs(helm: Helm) -> None:
    images = {name: {"architectures": ["amd64"]} for name in ("runner", "control")}
    prefetch = {"models": {"enabled": True, "prefetch": {"enabled": True}}}
    objects = rendered(helm, {"images": images}, prefetch)
    pods = [each["spec"]["template"]["spec"] for each in of_kind(objects, "Deployment", "Job")]
    pods += [each["spec"]["jobTemplate"]["spec"]["template"]["spec"] for each in of_kind(objects, "CronJob")]
    assert len(pods) == 5
    for pod in pods:
        assert terms_of(pod) == [[(ARCH, ["amd64"])]]


def test_an_affinity_of_the_administrator_stays_and_each_of_its_terms_keeps_to_the_architecture(helm: Helm) -> None:
    disk = {"key": "disk", "operator": "In", "values": ["ssd"]}
    zone = {"key": "zone", "operator": "In", "values": ["a"]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [disk]}, {"matchExpressions": [zone]}]}
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []},
    }
    values = {"operator": {"affinity": affinity}, "images": {"control": {"architectures": ["arm64"]}}}
    pod = pod_of(rendered(helm, values), "audiojob-operator")
    arch = (ARCH, ["arm64"])
    assert terms_of(pod) == [[("disk", ["ssd"]), arch], [("zone", ["a"]), arch]]
    assert "podAntiAffinity" in pod["affinity"]


def terms_of(pod: Object) -> list[list[tuple[str, list[str]]]]:
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return [
        [(each["key"], each["values"]) for each in term["matchExpressions"]] for term in required["nodeSelectorTerms"]
    ]


def test_row_13_a_flood_of_reports_borrows_no_seats_of_others(helm: Helm) -> None:
    level = find(rendered(helm), "PriorityLevelConfiguration", "audiojob-runners")["spec"]["limited"]
    assert (level["nominalConcurrencyShares"], level["borrowingLimitPercent"]) == (5, 0)
    operator = find(rendered(helm), "PriorityLevelConfiguration", "audiojob-control")["spec"]["limited"]
    assert "borrowingLimitPercent" not in operator
