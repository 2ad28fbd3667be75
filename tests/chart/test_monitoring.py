"""What the chart has for Prometheus and Grafana: off by default, and on the way it is meant to be used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from tests.chart.helm import Helm, Object, RefusedError, find, merged, of_kind, without_hooks
from tests.chart.release import Installed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.monitoring import generate, rulefile
from audiojob_dev.monitoring.alerts import ALERTS, THRESHOLDS
from audiojob_dev.paths import repository

pytestmark = pytest.mark.chart

TYPES = repository() / "tests" / "data" / "prometheus-operator"
ON = {"podMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboards": {"enabled": True}}
SETTINGS = {("ConfigMap", "audiojob-operator"), ("ConfigMap", "audiojob-api-access")}  # always there


def render(helm: Helm, monitoring: Object | None = None, **others: Object) -> list[Object]:
    values = {"jobNamespaces": ["music"], **others}
    return helm.render(values if monitoring is None else {**values, "monitoring": monitoring})


def of_monitoring(objects: list[Object]) -> list[Object]:
    found = of_kind(without_hooks(objects), "PodMonitor", "PrometheusRule", "ConfigMap")
    return [each for each in found if (each["kind"], each["metadata"]["name"]) not in SETTINGS]


def rules_of(objects: list[Object]) -> dict[str, Object]:
    (found,) = of_kind(objects, "PrometheusRule")
    rules = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    return {rule.get("alert") or rule["record"]: rule for rule in rules}


def test_all_of_it_is_off_by_default(helm: Helm) -> None:
    assert of_monitoring(render(helm)) == []


def test_rules_are_the_described_ones(helm: Helm) -> None:
    (found,) = of_kind(render(helm, ON), "PrometheusRule")
    assert found["spec"] == yaml.safe_load(rulefile.filled("audiojob-system"))


def test_rules_have_the_numbers_and_addresses_of_the_values(helm: Helm) -> None:
    changed = {
        "rules": {
            "enabled": True,
            "runbookURL": "https://git.example.org/runbooks/",
            "disabled": ["AudiojobWaitLong"],
            "thresholds": {"jobsFail": 7, "jobsFailRatio": 0.05, "watchSilentSeconds": 12_000_000},
        }
    }
    rules = rules_of(render(helm, changed))
    assert "AudiojobWaitLong" not in rules
    assert len([name for name in rules if name.startswith("Audiojob")]) == len(ALERTS) - 1
    failing = rules["AudiojobJobsFail"]
    assert "> 0.05 and" in failing["expr"]
    assert failing["expr"].endswith("> 7")
    assert failing["annotations"]["runbook_url"] == "https://git.example.org/runbooks/AudiojobJobsFail.md"
    assert float(rules["AudiojobWatchSilent"]["expr"].rpartition("> ")[2]) == 12_000_000


def test_every_threshold_is_a_number_of_its_alert(helm: Helm) -> None:
    numbers = {each.name: 10_001 + index for index, each in enumerate(THRESHOLDS)}
    rules = rules_of(render(helm, {"rules": {"enabled": True, "thresholds": numbers}}))
    for alert in ALERTS:
        found = {int(number) for number in re.findall(r"> (10\d{3})\b", rules[alert.full_name]["expr"])}
        assert found == {numbers[each.name] for each in alert.thresholds}


def test_all_alerts_may_be_left_out(helm: Helm) -> None:
    rules = rules_of(render(helm, {"rules": {"enabled": True, "disabled": [each.full_name for each in ALERTS]}}))
    assert rules
    assert not [name for name in rules if name.startswith("Audiojob")]


def test_a_prometheus_finds_them_by_labels(helm: Helm) -> None:
    monitoring = {**ON, "labels": {"release": "prometheus", "team": "ours"}}
    objects = render(helm, monitoring, commonLabels={"team": "all"})
    found = of_kind(objects, "PodMonitor", "PrometheusRule")
    assert len(found) == 3
    for each in found:
        labels = each["metadata"]["labels"]
        assert (labels["release"], labels["team"]) == ("prometheus", "ours")
        assert labels["app.kubernetes.io/part-of"] == "audiojob"


@pytest.mark.parametrize("part", ["operator", "api"])
def test_a_monitor_selects_the_pods_and_names_their_port(helm: Helm, part: str) -> None:
    objects = render(helm, ON)
    template = find(objects, "Deployment", f"audiojob-{part}")["spec"]["template"]
    spec = find(objects, "PodMonitor", f"audiojob-{part}")["spec"]
    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    ports = [port["name"] for port in template["spec"]["containers"][0]["ports"]]
    assert [each["port"] for each in spec["podMetricsEndpoints"]] == ports
    assert [each["interval"] for each in spec["podMetricsEndpoints"]] == ["30s"]
    others = [each for each in of_kind(objects, "Deployment") if each["metadata"]["name"] != f"audiojob-{part}"]
    for other in others:
        labels = other["spec"]["template"]["metadata"]["labels"]
        assert not spec["selector"]["matchLabels"].items() <= labels.items()


def test_without_an_api_none_is_scraped(helm: Helm) -> None:
    found = of_kind(render(helm, ON, api={"enabled": False}), "PodMonitor")
    assert [each["metadata"]["name"] for each in found] == ["audiojob-operator"]


def test_each_dashboard_is_a_config_map_that_grafana_finds(helm: Helm) -> None:
    maps = of_kind(of_monitoring(render(helm, ON)), "ConfigMap")
    boards = {name: text for each in maps for name, text in each["data"].items()}
    assert boards == {path.name: text for path, text in generate.files().items() if path.suffix == ".json"}
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)
    assert len({each["metadata"]["name"] for each in maps}) == len(boards) == 4
    assert all(json.loads(text)["uid"] == name.removesuffix(".json") for name, text in boards.items())


WRONG: dict[str, tuple[Object, str]] = {
    "an alert that there is not": ({"rules": {"disabled": ["WaitLong"]}}, "rules/disabled"),
    "a threshold that there is not": ({"rules": {"thresholds": {"waitLong": 5}}}, "waitLong"),
    "a threshold in words": ({"rules": {"thresholds": {"waitLongSeconds": "1h"}}}, "waitLongSeconds"),
    "a threshold below nothing": ({"rules": {"thresholds": {"waitLongSeconds": -1}}}, "waitLongSeconds"),
    "an interval without a unit": ({"podMonitor": {"interval": "30"}}, "podMonitor/interval"),
    "an address with a blank": ({"rules": {"runbookURL": "https://a b"}}, "rules/runbookURL"),
    "no number": ({"rules": {"thresholds": {"waitLongSeconds": None}}}, "thresholds.waitLongSeconds has no number"),
    "a switch that there is not": ({"serviceMonitor": {"enabled": True}}, "serviceMonitor"),
}


@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused(helm: Helm, values: Object, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(helm, merged(ON, values))
    assert words in str(refused.value)


# ---------------------------------------------------------------- on an API server


@pytest.fixture
def installed(apiserver: LocalApiServer, helm: Helm) -> Iterator[Installed]:
    release = Installed(apiserver, helm)
    yield release
    release.uninstall()


@pytest.mark.integration
def test_a_cluster_without_the_types_refuses_and_one_with_them_accepts(installed: Installed) -> None:
    with pytest.raises(RefusedError, match="no matches for kind"):
        installed.upgrade("--dry-run=server", monitoring=ON)
    assert "Prometheus" not in installed.notes

    installed.server.apply_crds(TYPES)
    try:
        off = installed.upgrade("--dry-run=server")
        assert "see monitoring.podMonitor.enabled" in off
        objects = of_monitoring(render(installed.helm, ON))
        for each in objects:
            each["metadata"]["namespace"] = installed.system
        text = yaml.safe_dump_all(objects)
        told = installed.server.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
        assert len(told.splitlines()) == len(objects) == 7
    finally:
        installed.server.kubectl(
            "delete", "-f", str(TYPES / "podmonitors.yaml"), "-f", str(TYPES / "prometheusrules.yaml")
        )
