"""Names and times, as all resources spell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from audiojob_types.base import ObjectName, format_time

NAMES = {
    "a name of 63 characters": ("a" * 63, True),
    "a name of 64 characters": ("a" * 64, False),
    "a name that begins with a digit": ("1st", True),
    "a name with a dot": ("a.b", False),
    "a name that ends in a dash": ("a-", False),
    "a name with a line break at its end": ("a\n", False),
    "an empty name": ("", False),
}


@pytest.mark.parametrize(("text", "valid"), NAMES.values(), ids=NAMES.keys())
def test_names(text: str, valid: bool) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(ObjectName)
    if valid:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


TIMES = {
    "UTC": (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    "parts of a second are cut": (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    "another zone": (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00Z"),
}


@pytest.mark.parametrize(("moment", "text"), TIMES.values(), ids=TIMES.keys())
def test_times_are_written_as_kubernetes_does(moment: datetime, text: str) -> None:
    assert format_time(moment) == text
