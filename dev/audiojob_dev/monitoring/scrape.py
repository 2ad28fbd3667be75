"""Prometheus' configuration for `make monitoring`, from the pods that there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

# The labels that the chart gives to its pods, and the names of the ports at which they show metrics.
SELECTOR: Final = "app.kubernetes.io/name=audiojob,app.kubernetes.io/component in (operator,api)"
_PORTS: Final = ("metrics", "http")


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A port of a running pod that shows metrics."""

    namespace: str
    pod: str
    port: int

    @property
    def path(self) -> str:
        """Where the API server passes requests on to it: a pod's own address is reached only from within a cluster."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}:{self.port}/proxy/metrics"


ALLOWED_PATHS: Final = r"^/api/v1/namespaces/[^/]+/pods/[^/]+/proxy/metrics$"
"""What `kubectl proxy` lets through: it has the rights of whoever started it, and asks nobody for a password."""


def targets(pods: Iterable[dict[str, Any]]) -> list[Target]:
    """What is to be scraped of these pods, sorted."""
    return sorted(
        Target(pod["metadata"]["namespace"], pod["metadata"]["name"], port["containerPort"])
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name") in _PORTS
    )


def targets_file(found: Iterable[Target], proxy: str) -> str:
    """The content of the file that Prometheus reads targets from; `proxy` is host and port of `kubectl proxy`."""
    return json.dumps(
        [
            {
                "targets": [proxy],
                "labels": {
                    "__metrics_path__": each.path,
                    "instance": f"{each.pod}:{each.port}",
                    "namespace": each.namespace,
                    "pod": each.pod,
                },
            }
            for each in found
        ]
    )


def configuration(rules: Sequence[Path], targets: Path, interval: str) -> str:
    """Prometheus' configuration."""
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(file) for file in rules],
            "scrape_configs": [
                {
                    "job_name": "audiojob",
                    "file_sd_configs": [{"files": [str(targets)], "refresh_interval": interval}],
                }
            ],
        },
        sort_keys=False,
    )
