"""Whether queries use names that the programs have: metrics, their labels, and the words that our labels may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from audiojob_api.archive.metrics import DESCRIPTIONS as ARCHIVE
from audiojob_api.archive.progress import Failure
from audiojob_api.http.metrics import OUTCOMES, ApiMetrics, Refused
from audiojob_api.sql.database import State as DatabaseState
from audiojob_dev.monitoring.promql import Selector, aggregations, grouped_by, selectors
from audiojob_operator.deciding.transitions import OTHER, AttemptClass
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.records.workers import WhyOwnJob
from audiojob_operator.watching.health import DegradedReason
from audiojob_types.contract import Device
from audiojob_types.outside.metric import RESERVED_LABELS, Description
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import State

PROCESS: Final = ("process_cpu_seconds_total", "process_resident_memory_bytes")
"""What Python's Prometheus client shows of a process, of which dashboards use these."""
_SERIES: Final = {"histogram": ("_bucket", "_count", "_sum")}
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "class": frozenset(AttemptClass),
    "device": frozenset(Device),
    "outcome": frozenset(OUTCOMES),
    "reason": frozenset({*Reason, *DegradedReason, *Refused, *Failure, *WhyOwnJob, OTHER}),
    "result": frozenset({"ok", "fault", "transport", "429"}),
    "state": frozenset({*State, *DatabaseState, "offered", "held", "wanted", "starting", "idle", "busy"}),
}

Known = Mapping[str, frozenset[str]]


def described() -> list[Description]:
    """Every metric of operator and API."""
    return [*Metrics().descriptions, *ApiMetrics().descriptions, *ARCHIVE]


def known(descriptions: Iterable[Description], recorded: Iterable[tuple[str, Iterable[str]]] = ()) -> Known:
    """The labels of each series that there is, by its name. `recorded`: those that recording rules make."""
    found: dict[str, frozenset[str]] = dict.fromkeys(PROCESS, RESERVED_LABELS)
    for each in descriptions:
        for suffix in _SERIES.get(each.kind, ("",)):
            bound = {"le"} if suffix == "_bucket" else set()
            found[each.name + suffix] = RESERVED_LABELS.union(each.labels, bound)
    found.update({name: frozenset(labels) for name, labels in recorded})
    return found


def faults(query: str, names: Known, shown: str = "") -> Iterator[str]:
    """What is wrong with the names of a query, and with the labels that `shown`, a legend or sentence, names."""
    labels: set[str] = set()
    for selector in selectors(query):
        if selector.name not in names:
            yield f"no metric is called {selector.name}"
            continue
        labels |= names[selector.name]
        yield from _faults_of(selector, names[selector.name])
    for grouping, summed in aggregations(query):
        for name in sorted({selector.name for selector in selectors(summed)} & names.keys()):
            yield from (f"{name} has no label {label}" for label in sorted(grouping - names[name]))
    grouping = grouped_by(query)
    kept = grouping or labels
    named = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", shown)) | set(re.findall(r"\$labels\.(\w+)", shown))
    yield from (f"{query} leaves no label {label}" for label in sorted(named - kept))


def _faults_of(selector: Selector, labels: frozenset[str]) -> Iterator[str]:
    for matcher in selector.matchers:
        if matcher.label not in labels:
            yield f"{selector.name} has no label {matcher.label}"
        words = _WORDS.get(matcher.label)
        if words is not None:
            yield from (f"{matcher.label} is never {word}" for word in matcher.words if word not in words)
