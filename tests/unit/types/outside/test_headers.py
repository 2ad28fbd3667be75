from __future__ import annotations

from datetime import UTC, datetime

import pytest

from audiojob_types.outside.headers import retry_after_seconds

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("120", 120, id="seconds"),
        pytest.param(" 7 ", 7, id="spaces around"),
        pytest.param("0", 0, id="no seconds"),
        pytest.param("86401", 86_400, id="more than a day"),
        pytest.param("9" * 5_000, 86_400, id="more digits than int takes"),
        pytest.param("Mon, 23 Nov 2026 12:01:30 GMT", 90, id="a date"),
        pytest.param("Monday, 23-Nov-26 12:01:30 GMT", 90, id="a date in the old form"),
        pytest.param("Mon, 23 Nov 2026 11:00:00 GMT", 0, id="a date that has passed"),
        pytest.param("Mon, 23 Nov 2026 12:01:30 -0000", 90, id="a date without a zone"),
        pytest.param("Mon, 23 Nov 9999 12:00:00 GMT", 86_400, id="a date at the end of time"),
        pytest.param("Mon, 99 Nov 2026 12:00:00 GMT", None, id="a date that is none"),
        pytest.param("-5", None, id="less than nothing"),
        pytest.param("1.5", None, id="a fraction"),
        pytest.param("٣", None, id="digits of another script"),
        pytest.param("soon", None, id="a word"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_the_time_that_a_server_asks_to_be_left_alone(value: str | None, seconds: int | None) -> None:
    assert retry_after_seconds(value, NOON) == seconds
