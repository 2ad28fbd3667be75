from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from audiojob_runner.fetch.plainhttp import asked_to_wait, status_error
from audiojob_types.reasons import Reason


@pytest.mark.parametrize("status", [200, 203, 206])
def test_success_is_no_error(status: int) -> None:
    assert status_error(status) is None


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (304, 66, Reason.SOURCE_UNAVAILABLE),
        (400, 66, Reason.SOURCE_UNAVAILABLE),
        (401, 66, Reason.LOGIN_REQUIRED),
        (403, 66, Reason.SOURCE_FORBIDDEN),
        (404, 66, Reason.SOURCE_UNAVAILABLE),
        (407, 77, Reason.CREDENTIALS_REFUSED),
        (408, 75, Reason.TEMPORARY_FAILURE),
        (410, 66, Reason.SOURCE_UNAVAILABLE),
        (425, 75, Reason.TEMPORARY_FAILURE),
        (429, 75, Reason.RATE_LIMITED),
        (451, 66, Reason.GEO_BLOCKED),
        (500, 75, Reason.TEMPORARY_FAILURE),
        (503, 75, Reason.TEMPORARY_FAILURE),
        (599, 75, Reason.TEMPORARY_FAILURE),
    ],
)
def test_each_status_is_permanent_or_temporary(status: int, code: int, reason: Reason) -> None:
    error = status_error(status)
    assert error is not None
    assert (error.exit_code, error.reason) == (code, reason)
    assert str(status) in error.message


def test_a_limit_carries_what_the_server_asked_for_and_no_other_status_does() -> None:
    limited, failed = status_error(429, 30), status_error(503, 30)
    assert limited is not None
    assert failed is not None
    assert (limited.retry_after_seconds, failed.retry_after_seconds) == (30, None)


def test_a_date_to_wait_for_is_read_by_the_servers_own_clock() -> None:
    headers = {"date": "Fri, 01 Jan 1999 00:00:00 GMT", "retry-after": "Fri, 01 Jan 1999 00:02:00 GMT"}
    assert asked_to_wait(CaseInsensitiveDict(headers)) == 120
    assert asked_to_wait({}) is None
