"""`make monitoring` against the installed product: Prometheus reaches both programs, and rules see who leads."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.e2e.product import Product

from audiojob_dev.demo.install import RELEASE_NAMESPACE
from audiojob_dev.monitoring.dashboards import panel_queries
from audiojob_dev.monitoring.run import Running, prometheus
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.rest import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others]


@pytest.fixture(scope="module")
def running(product: Product) -> Iterator[Running]:
    with prometheus(paths_from_environment(), os.environ, "1s") as started:
        started.refresh()
        wait_until("both programs to be scraped", lambda: len(started.ask("up == 1")) >= 2, seconds=60)
        yield started


def test_the_rules_see_the_release_and_who_leads(running: Running) -> None:
    wait_until("a leader", lambda: bool(running.ask("max(audiojob_operator_leading) == 1")), seconds=60)
    (found,) = running.ask("audiojob_operator_build_info")
    assert found["metric"]["namespace"] == RELEASE_NAMESPACE
    pod = found["metric"]["pod"]
    joined = f'audiojob_operator_active_audiojobs and on (namespace, pod) audiojob_operator_leading{{pod="{pod}"}} == 1'
    wait_until("its gauges", lambda: bool(running.ask(joined)), seconds=30)


# Some of each dashboard that every installation has from its start.
SHOWN = {
    "Operator",
    "Running",
    "Backlog",
    "Who leads",
    "Memory",
    "Writes",
    "Reconciles by result",
    "Attempts by how they end",
}


def test_panels_show_something_and_all_are_understood(running: Running) -> None:
    def shown() -> set[str]:
        return {each.panel for each in panel_queries(RELEASE_NAMESPACE, "30s") if running.ask(each.query)}

    # A rate needs two scrapes.
    wait_until("the panels", lambda: shown() >= SHOWN, seconds=60)
