"""Gauges that are read off the caches at each scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from audiojob_types.outside.metric import Description


class Snapshot(Collector):
    """Their series are those of the newest reading: one that has nothing to say any more is gone from the page."""

    def __init__(self, about: Iterable[Description]) -> None:
        self._values: dict[Description, tuple[tuple[tuple[str, ...], float], ...]] = dict.fromkeys(about, ())

    def show(self, about: Description, values: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """The newest reading: values, each behind its labels."""
        self._values[about] = tuple(values)

    def collect(self) -> Iterator[Metric]:
        """All of them, from the newest readings."""
        for about, values in self._values.items():
            family = GaugeMetricFamily(about.name, about.text, labels=about.labels)
            for labels, value in values:
                family.add_metric(labels, value)
            yield family
