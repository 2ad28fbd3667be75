"""What `make monitoring` scrapes: the pods that run, by the API server, with the labels by which rules join."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from audiojob_dev.monitoring.scrape import ALLOWED_PATHS, Target, configuration, targets, targets_file

PROXY = "127.0.0.1:8001"


def pod(name: str, *ports: tuple[str, int], phase: str = "Running", **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "system", "name": name, **metadata},
        "spec": {"containers": [{"ports": [{"name": each, "containerPort": port} for each, port in ports]}]},
        "status": {"phase": phase},
    }


def test_running_pods_are_scraped_where_they_show_metrics() -> None:
    found = targets(
        [
            pod("operator-b", ("metrics", 8080)),
            pod("operator-a", ("metrics", 8080), ("debug", 9000)),
            pod("api", ("http", 8081)),
            pod("without-ports"),
            pod("begins", ("metrics", 8080), phase="Pending"),
            pod("ends", ("metrics", 8080), deletionTimestamp="2026-11-29T00:00:00Z"),
        ]
    )
    assert found == [
        Target("system", "api", 8081),
        Target("system", "operator-a", 8080),
        Target("system", "operator-b", 8080),
    ]


def test_a_target_has_the_labels_of_its_pod() -> None:
    (target,) = json.loads(targets_file([Target("system", "operator-a", 8080)], PROXY))
    assert target["targets"] == [PROXY]
    labels = target["labels"]
    assert (labels["namespace"], labels["pod"], labels["instance"]) == ("system", "operator-a", "operator-a:8080")
    assert labels["__metrics_path__"] == "/api/v1/namespaces/system/pods/operator-a:8080/proxy/metrics"


def test_the_proxy_lets_nothing_else_through() -> None:
    assert re.search(ALLOWED_PATHS, Target("system", "operator-a", 8080).path)
    for path in (
        "/api/v1/namespaces/system/secrets",
        "/api/v1/namespaces/system/pods/operator-a:8080/proxy/livez",
        "/api/v1/namespaces/system/pods/operator-a/exec",
        "/api/v1/namespaces/system/secrets/x/pods/y/proxy/metrics",
    ):
        assert not re.search(ALLOWED_PATHS, path), path


def test_the_configuration_names_rules_and_targets() -> None:
    found = yaml.safe_load(configuration([Path("/a/rules.yaml")], Path("/a/targets.json"), "2s"))
    assert found["rule_files"] == ["/a/rules.yaml"]
    assert found["scrape_configs"][0]["file_sd_configs"][0]["files"] == ["/a/targets.json"]
    assert found["global"]["scrape_interval"] == "2s"
