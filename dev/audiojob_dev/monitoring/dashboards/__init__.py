"""The four dashboards. Links between them keep the time and the release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audiojob_dev.monitoring.dashboards.operator import OPERATOR
from audiojob_dev.monitoring.dashboards.overview import OVERVIEW
from audiojob_dev.monitoring.dashboards.phases import PHASES
from audiojob_dev.monitoring.dashboards.queues import QUEUES
from audiojob_dev.monitoring.model import Dashboard
from audiojob_dev.monitoring.promql import scoped

DASHBOARDS: Final[tuple[Dashboard, ...]] = (OVERVIEW, QUEUES, PHASES, OPERATOR)


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a panel, as it can be asked of a Prometheus without Grafana."""

    dashboard: str
    panel: str
    query: str


def panel_queries(namespace: str, interval: str = "5m") -> Iterator[Asked]:
    """Each query of each panel, for the release in this namespace; `interval` stands for Grafana's variables."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                text = scoped(query.expr, f'namespace="{namespace}"')
                text = text.replace("$__rate_interval", interval).replace("$__range", interval)
                yield Asked(dashboard.uid, panel.title, text)


__all__ = ["DASHBOARDS", "Asked", "panel_queries"]
