"""Times that people and pods write: what is taken can be read, compared and written again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from audiojob_types.base import BAD_TIME, TIME_PATTERN, WrittenTime, format_time, is_time
from audiojob_types.resources.job import AudioJob

WRITTEN: TypeAdapter[datetime] = TypeAdapter(WrittenTime)

TAKEN = {
    "UTC": "2026-11-28T07:00:00Z",
    "an offset": "2026-11-28T07:00:00+05:30",
    "the widest offsets": "2026-11-28T07:00:00-23:59",
    "a zone of UTC that is unknown": "2026-11-28T07:00:00-00:00",
    "parts of a second": "2026-11-28T07:00:00.123456789Z",
    "the first": "1970-01-01T00:00:00+23:59",
    "the last": "2999-12-31T23:59:59-23:59",
    "a leap day": "2028-02-29T00:00:00Z",
    "a leap day in a century": "2400-02-29T00:00:00Z",
}
REFUSED = {
    "a small t": "2026-11-28t07:00:00Z",
    "a small z": "2026-11-28T07:00:00z",
    "a space": "2026-11-28 07:00:00Z",
    "no zone": "2026-11-28T07:00:00",
    "no seconds": "2026-11-28T07:00Z",
    "a leap second": "2026-12-31T23:59:60Z",
    "hour 24": "2026-11-28T24:00:00Z",
    "an offset of 99:99": "2026-11-28T07:00:00+99:99",
    "an offset of 24 hours": "2026-11-28T07:00:00+24:00",
    "an offset without colon": "2026-11-28T07:00:00+0100",
    "the year 0000": "0000-01-01T00:00:00Z",
    "the year 9999": "9999-12-31T23:59:59-14:00",
    "five digits of a year": "12026-11-28T07:00:00Z",
    "a sign": "-2026-11-28T07:00:00Z",
    "the 30th of February": "2026-02-30T07:00:00Z",
    "no leap year": "2026-02-29T07:00:00Z",
    "no leap year in a century": "2100-02-29T07:00:00Z",
    "the 31st of April": "2026-04-31T07:00:00Z",
    "month 13": "2026-13-01T07:00:00Z",
    "a comma": "2026-11-28T07:00:00,5Z",
    "a dot without digits": "2026-11-28T07:00:00.Z",
    "ten digits of a fraction": "2026-11-28T07:00:00.1234567890Z",
    "a letter for the dot": "2026-11-28T07:00:00x5z",
    "text behind": "2026-11-28T07:00:00ZTgarbage",
    "a line behind": "2026-11-28T07:00:00Z\n",
    "digits of another script": "２０２６-11-28T07:00:00Z",
    "nothing": "",
    "a word": "now",
    "a number": "1764313200",
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN.keys())
def test_taken(text: str) -> None:
    assert WRITTEN.validate_python(text).tzinfo is not None


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must be a time such as"):
        WRITTEN.validate_python(text)


@given(st.from_regex(re.compile(TIME_PATTERN, re.ASCII), fullmatch=True))
def test_every_time_that_is_taken_can_be_compared_added_to_and_written(text: str) -> None:
    moment = WRITTEN.validate_python(text)
    assert moment + timedelta(days=400) > moment.astimezone(UTC) - timedelta(days=400)
    again = WRITTEN.validate_python(format_time(moment)) if 1970 <= moment.astimezone(UTC).year <= 2999 else None
    assert again is None or again == moment.replace(microsecond=0)


@given(st.integers(0, int(datetime(2999, 12, 31, tzinfo=UTC).timestamp())))
def test_every_moment_in_range_may_be_written(seconds: int) -> None:
    assert is_time(format_time(datetime.fromtimestamp(seconds, UTC)))


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_stored_time_never_hides_its_job(text: str) -> None:
    stored = {
        "metadata": {"name": "song"},
        "spec": {"pipeline": "separate", "startTime": text},
        "status": {"progress": {"one": {"attempt": 1, "percent": 5, "reportTime": text}}},
    }
    job = AudioJob.model_validate(stored)
    start = job.spec.start_time
    assert start is not None
    # What was admitted before and means the same is read as what it means.
    assert start == (WRITTEN.validate_python(text.upper()) if is_time(text.upper()) else BAD_TIME)
    assert start.astimezone(UTC) + timedelta(days=400) > start
    assert job.status.progress == {}
