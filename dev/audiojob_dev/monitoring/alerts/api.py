"""Alerts about the REST API. Without an API they never fire."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Alert, Threshold

_REQUESTS: Final = "audiojob_api_request_seconds"
_ERRORS: Final = 'sum(rate(audiojob_api_responses_total{status=~"5.."}[5m]))'

API: Final = (
    Alert(
        "ApiErrors",
        "critical",
        "10m",
        f"{_ERRORS} / (sum(rate(audiojob_api_responses_total[5m])) > 0) > ${{apiErrorsRatio}}",
        "The API answers with errors of its own.",
        "{{ $value | humanizePercentage }} of the answers of the last 5 minutes have a status from 500 up.",
        (Threshold("apiErrorsRatio", 0.01, "Part of the answers with a status from 500 up; 0.01 is 1 %."),),
    ),
    Alert(
        "ApiSlow",
        "warning",
        "10m",
        f"histogram_quantile(0.99, sum by (le) (rate({_REQUESTS}_bucket[5m]))) > ${{apiSlowSeconds}}",
        "The API answers slowly.",
        "One request in a hundred takes longer than {{ $value | humanizeDuration }}.",
        (Threshold("apiSlowSeconds", 1, "Seconds in which 99 of 100 requests are answered."),),
    ),
    Alert(
        "ApiStale",
        "warning",
        "10m",
        "max by (pod) (audiojob_api_read_model_age_seconds) > ${apiStaleSeconds}",
        "The API shows an old state.",
        "{{ $labels.pod }} last heard from the API server {{ $value | humanizeDuration }} ago.",
        (Threshold("apiStaleSeconds", 120, "Seconds since the API heard from the API server."),),
    ),
    Alert(
        "ArchiveLate",
        "warning",
        "10m",
        "max by (pod) (audiojob_api_archive_lag_seconds) > ${archiveLateSeconds}",
        "Finished jobs do not get into the archive.",
        "{{ $labels.pod }} knows a job that ended {{ $value | humanizeDuration }} ago and is not archived.",
        (Threshold("archiveLateSeconds", 900, "Seconds since the end of a job that is not archived."),),
    ),
)
