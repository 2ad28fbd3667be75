"""What /metrics shows of the archive and its database, read from them when it is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from audiojob_api.archive.progress import Failure, Progress
from audiojob_api.sql.database import State
from audiojob_types.outside.metric import Description

PENDING: Final = Description(
    "audiojob_api_archive_pending", "gauge", "Finished AudioJobs that are not in the archive yet."
)
LAG: Final = Description(
    "audiojob_api_archive_lag_seconds", "gauge", "Since when the one of them that waits longest has ended; 0 for none."
)
WRITTEN: Final = Description(
    "audiojob_api_archive_written_total", "counter", "AudioJobs that this process wrote into the archive."
)
FAILURES: Final = Description(
    "audiojob_api_archive_failures_total", "counter", "What went wrong while writing the archive.", ("reason",)
)
EPOCH: Final = Description(
    "audiojob_api_archive_epoch", "gauge", "With which this process writes the archive; 0 where another one does."
)
SUCCESS: Final = Description(
    "audiojob_api_archive_last_success_timestamp_seconds",
    "gauge",
    "When this process last found the archive writable or wrote into it; 0 for never.",
)
DATABASE: Final = Description("audiojob_api_database", "gauge", "1 for the state of the database.", ("state",))
DESCRIPTIONS: Final = (PENDING, LAG, WRITTEN, FAILURES, EPOCH, SUCCESS, DATABASE)


class Archive(Protocol):
    """The archive's writer, as far as it is shown."""

    @property
    def pending(self) -> int: ...
    @property
    def oldest(self) -> int | None:
        """When the first of them ended, in milliseconds."""

    @property
    def epoch(self) -> int | None: ...
    @property
    def progress(self) -> Progress: ...


class Store(Protocol):
    """The database, as far as it is shown."""

    @property
    def state(self) -> State: ...


class ArchiveMetrics(Collector):
    """Series of the database, and of the archive where there is one."""

    def __init__(self, database: Store, archive: Archive | None) -> None:
        self._database = database
        self._archive = archive

    def collect(self) -> Iterator[Metric]:
        """As they are now."""
        yield _by(DATABASE, {state: float(state is self._database.state) for state in State})
        if (archive := self._archive) is not None:
            oldest = archive.oldest
            yield _one(PENDING, archive.pending)
            yield _one(LAG, 0 if oldest is None else max(0.0, time.time() - oldest / 1_000))
            yield _one(WRITTEN, archive.progress.written)
            yield _by(FAILURES, {reason: archive.progress.failures[reason] for reason in Failure})
            yield _one(EPOCH, archive.epoch or 0)
            yield _one(SUCCESS, archive.progress.last_success)


def _one(about: Description, value: float) -> Metric:
    family = _family(about)
    family.add_metric([], value)
    return family


def _by(about: Description, values: Mapping[Any, float]) -> Metric:
    family = _family(about)
    for name, value in values.items():
        family.add_metric([name], value)
    return family


def _family(about: Description) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if about.kind == "counter" else GaugeMetricFamily
    return kind(about.name, about.text, labels=about.labels)
