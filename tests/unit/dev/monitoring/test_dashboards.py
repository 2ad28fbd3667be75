"""A lint of our own for the dashboards, as neither Grafana's linter nor Grafana itself may be used here."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from audiojob_dev.monitoring.dashboards import DASHBOARDS, panel_queries
from audiojob_dev.paths import repository

FOLDER = repository() / "charts" / "audiojob" / "files" / "monitoring" / "dashboards"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in FILES.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
# Of Grafana's list; one that it does not know is shown as a word behind the number.
UNITS = {"Bps", "bytes", "ops", "percentunit", "reqps", "s", "short"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

dashboards = pytest.mark.parametrize("board", FILES.values(), ids=FILES)
panels = pytest.mark.parametrize("panel", PANELS)


def test_the_addresses_never_change() -> None:
    assert list(FILES) == ["audiojob-operator", "audiojob-overview", "audiojob-phases", "audiojob-queues"]
    assert [board["uid"] for board in FILES.values()] == list(FILES)


@dashboards
def test_a_dashboard_asks_which_prometheus_and_which_release(board: dict[str, Any]) -> None:
    variables = {each["name"]: each for each in board["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["namespace"]["type"] == "query"
    assert variables["namespace"]["datasource"] == SOURCE
    assert "audiojob" in board["tags"], "by which the dashboards link to each other"


@dashboards
def test_a_dashboard_is_one_that_grafana_loads(board: dict[str, Any]) -> None:
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "timezone", "refresh"} <= board.keys()
    assert "id" not in board, "an id is of the one Grafana that gave it"
    assert len(board["uid"]) <= 40
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == sorted(set(numbers))
    titles = [panel["title"] for panel in board["panels"]]
    assert len(titles) == len(set(titles))


@dashboards
def test_panels_lie_beside_each_other(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@panels
def test_a_panel_says_what_it_shows_and_in_what_unit(panel: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Z0-9].*\.", panel["description"])
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@panels
def test_a_query_is_of_one_release_and_of_grafanas_interval(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        query = target["expr"]
        assert target["datasource"] == SOURCE
        metrics = re.findall(r"(?<![\w:])(?:audiojob[_:]|process_)[a-z0-9_:]+(.?)", query)
        assert metrics
        assert set(metrics) == {"{"}
        assert query.count('namespace="$namespace"') == len(metrics)
        assert set(re.findall(r"\[([^\]]*)\]", query)) <= {"$__rate_interval", "$__range"}
        # Over the whole time shown there is one number, not a line.
        assert ("$__range" in query) <= target["instant"]


@panels
def test_lines_that_differ_have_names_that_differ(panel: dict[str, Any]) -> None:
    if panel["type"] == "stat":
        return
    for target in panel["targets"]:
        assert target["legendFormat"], panel["title"]
        grouped = re.search(r"^(?:3600 \* )?(?:topk\(10, )?\w+(?:\([\d.]+, sum)? by \(([^)]*)\)", target["expr"])
        if grouped:
            labels = {label.strip() for label in grouped[1].split(",")} - {"le"}
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert labels <= shown or panel["type"] == "heatmap"


def test_a_script_can_ask_what_the_panels_ask() -> None:
    asked = list(panel_queries("audiojob-system", "1m"))
    assert len(asked) == sum(len(panel.queries) for board in DASHBOARDS for panel in board.panels)
    assert not [each for each in asked if "$" in each.query]
    assert {each.dashboard for each in asked} == FILES.keys()
