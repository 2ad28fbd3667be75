"""What an alert, a recording rule and a dashboard are made of. Queries are PromQL as people write it.

Two things are put in later, so that one description serves several places: which release a metric is of
(`promql.scoped`), and the numbers of an alert, `${name}`, which are values of the chart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "Audiojob"
PLACEHOLDER: Final = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that an administrator may change: `monitoring.rules.thresholds.NAME`."""

    name: str
    default: float
    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][A-Za-z0-9]*", self.name):
            raise ValueError(f"{self.name}: a threshold is called like a value of the chart, such as waitLongSeconds")
        if not self.default >= 0:
            raise ValueError(f"{self.name}: a threshold is a number from 0 up")


@dataclass(frozen=True, slots=True)
class Alert:
    """`name` is without `Audiojob`. What changes with time stands in `summary` and `description`, never in labels."""

    name: str
    severity: Literal["critical", "warning"]
    lasts: str
    """For how long it must hold, such as `5m`; `0m` fires at once."""
    when: str
    summary: str
    description: str
    thresholds: tuple[Threshold, ...] = ()

    def __post_init__(self) -> None:
        if set(PLACEHOLDER.findall(self.when)) != {each.name for each in self.thresholds}:
            raise ValueError(f"{self.name}: the query has other thresholds than are described")

    @property
    def full_name(self) -> str:
        """Its name in Prometheus, and that of its page in docs/runbooks."""
        return f"{PREFIX}{self.name}"


@dataclass(frozen=True, slots=True)
class Recording:
    """A query whose result is kept under `name`, `level:metric:operation`."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class Query:
    """One line, bar or number of a panel. `legend` may name labels: `{{state}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit` is Grafana's: `s`, `bytes`, `short`, `percentunit`, `ops`."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "heatmap", "bargauge"] = "timeseries"
    words: tuple[tuple[int, str, str], ...] = ()
    """Of a number with few values: each value's word and colour."""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels beside each other, under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`uid` is part of its address in Grafana, so it never changes."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)
