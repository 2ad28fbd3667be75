from __future__ import annotations

import pytest

from audiojob_runner.plainhttp import status_error
from audiojob_types.reasons import Reason


@pytest.mark.parametrize("status", [200, 203, 206])
def test_success_is_no_error(status: int) -> None:
    assert status_error(status) is None


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (304, 66, Reason.SOURCE_UNAVAILABLE),
        (400, 66, Reason.SOURCE_UNAVAILABLE),
        (401, 66, Reason.SOURCE_UNAVAILABLE),
        (403, 66, Reason.SOURCE_UNAVAILABLE),
        (404, 66, Reason.SOURCE_UNAVAILABLE),
        (408, 75, Reason.TEMPORARY_FAILURE),
        (410, 66, Reason.SOURCE_UNAVAILABLE),
        (425, 75, Reason.TEMPORARY_FAILURE),
        (429, 75, Reason.TEMPORARY_FAILURE),
        (451, 66, Reason.SOURCE_UNAVAILABLE),
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
