"""Recording rules: by namespace, as a Prometheus may see several releases."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Recording
from audiojob_dev.monitoring.promql import any_of
from audiojob_operator.deciding.transitions import AttemptClass

_FAILED: Final = any_of(
    (
        AttemptClass.DEVICE,
        AttemptClass.EXHAUSTED,
        AttemptClass.MEMORY,
        AttemptClass.PERMANENT,
        AttemptClass.RETRY,
    )
)

RECORDINGS: Final = (
    Recording(
        "audiojob:realtime_factor:rate1h",
        "sum by (namespace, task, device) (rate(audiojob_operator_attempt_work_seconds_total[1h])) / "
        "(sum by (namespace, task, device) (rate(audiojob_operator_attempt_media_seconds_total[1h])) > 0)",
    ),
    Recording(
        "audiojob:failed_attempts:ratio1h",
        f'sum by (namespace) (rate(audiojob_operator_attempts_total{{class=~"{_FAILED}"}}[1h])) / '
        "(sum by (namespace) (rate(audiojob_operator_attempts_total[1h])) > 0)",
    ),
    Recording(
        "audiojob:wait_seconds:p90_1h",
        "histogram_quantile(0.9, sum by (namespace, le) (rate(audiojob_operator_phase_wait_seconds_bucket[1h])))",
    ),
)
