"""Dashboards as Grafana's JSON (schema version 39: Grafana 10.4 and later)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from audiojob_dev.monitoring.model import Dashboard, Panel, Query, Row
from audiojob_dev.monitoring.promql import scoped

SCOPE: Final = 'namespace="$namespace"'
_SCHEMA: Final = 39
_WIDTH: Final = 24
_HEIGHTS: Final = {"stat": 4, "timeseries": 8, "heatmap": 8, "bargauge": 8}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def to_json(dashboard: Dashboard) -> str:
    """The text of the dashboard's file."""
    return json.dumps(_dashboard(dashboard), indent=2, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": f"{dashboard.description} Generated: changes here are overwritten by the chart's next release.",
        "tags": ["audiojob"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "links": [_LINKS],
        "templating": {"list": [_DATASOURCE, _NAMESPACE]},
        "panels": list(_panels(dashboard)),
    }


_LINKS: Final = {
    "type": "dashboards",
    "title": "audiojob",
    "icon": "external link",
    "tags": ["audiojob"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "tooltip": "",
    "url": "",
}
_DATASOURCE: Final = {
    "name": "datasource",
    "type": "datasource",
    "label": "Prometheus",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
}
_NAMESPACE_QUERY: Final = "label_values(audiojob_operator_build_info, namespace)"
_NAMESPACE: Final = {
    "name": "namespace",
    "type": "query",
    "label": "Release in",
    "datasource": _SOURCE,
    "definition": _NAMESPACE_QUERY,
    "query": {"query": _NAMESPACE_QUERY, "refId": "namespace"},
    "refresh": 2,
    "sort": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
}


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in dashboard.rows:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
        }
        number, top = number + 1, top + 1
        for left, width, panel in _places(row):
            height = _HEIGHTS[panel.kind]
            yield _panel(panel, number, {"x": left, "y": top, "w": width, "h": height})
            number += 1
        top += max(_HEIGHTS[panel.kind] for panel in row.panels)


def _places(row: Row) -> Iterator[tuple[int, int, Panel]]:
    """Left edge and width of each panel: they share the row."""
    count = len(row.panels)
    for index, panel in enumerate(row.panels):
        left, right = _WIDTH * index // count, _WIDTH * (index + 1) // count
        yield left, right - left, panel


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, "ABCDEFGH"[index]) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **_field(panel)}, "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, query: Query, letter: str) -> dict[str, Any]:
    at_once = panel.kind in ("stat", "bargauge")
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "expr": scoped(query.expr, SCOPE),
        "legendFormat": query.legend,
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        "instant": at_once,
        "range": not at_once,
    }


def _field(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if panel.words:
        words = {str(value): {"text": word, "color": colour, "index": 0} for value, word, colour in panel.words}
        found["mappings"] = [{"type": "value", "options": words}]
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        found["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 10,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": stacking,
        }
    return found


def _options(panel: Panel) -> dict[str, Any]:
    """Every option that Grafana's schema asks for, as Grafana itself would fill it in."""
    return {"stat": _STAT, "bargauge": _BARS, "heatmap": _heatmap(panel.unit), "timeseries": _LINES}[panel.kind]


_REDUCED: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_STAT: Final = {
    "reduceOptions": _REDUCED,
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "showPercentChange": False,
    "textMode": "auto",
    "wideLayout": True,
}
_BARS: Final = {
    "reduceOptions": _REDUCED,
    "displayMode": "basic",
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    "maxVizHeight": 300,
    "minVizHeight": 16,
    "minVizWidth": 8,
    "namePlacement": "auto",
    "orientation": "horizontal",
    "showUnfilled": True,
    "sizing": "auto",
    "valueMode": "color",
}
_LINES: Final = {
    "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def _heatmap(unit: str) -> dict[str, Any]:
    return {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Blues", "fill": "blue", "exponent": 0.5, "reverse": False, "steps": 64},
        "exemplars": {"color": "orange"},
        "legend": {"show": True},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
