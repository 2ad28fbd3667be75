"""Every alert, and what the recording rules keep for them and for people.

Traps that the queries avoid: `increase` extrapolates, so a count begins at 3 or is "any at all"; a gauge by state and
reason has no series where it has no jobs, so a sum of it is empty and not 0; a counter that is not there from the start
misses its first event (docs/metrics.md says which are).
"""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.alerts.api import API
from audiojob_dev.monitoring.alerts.operator import OPERATOR
from audiojob_dev.monitoring.alerts.recordings import RECORDINGS
from audiojob_dev.monitoring.alerts.work import WORK
from audiojob_dev.monitoring.model import Alert, Threshold

ALERTS: Final[tuple[Alert, ...]] = (*OPERATOR, *WORK, *API)
THRESHOLDS: Final[tuple[Threshold, ...]] = tuple(each for alert in ALERTS for each in alert.thresholds)

__all__ = ["ALERTS", "RECORDINGS", "THRESHOLDS"]
