"""Times that users write: the API server and Python take the same ones, and a job with any of them can be written."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.integration.crds.resources import Resources
from tests.unit.types.test_times import REFUSED, TAKEN

from audiojob_types.base import TIME_PATTERN, is_time

pytestmark = pytest.mark.integration

_TAKEN = st.from_regex(re.compile(TIME_PATTERN, re.ASCII), fullmatch=True)
_PIECES = st.sampled_from(["t", "T", "z", "Z", "+99:99", "-00:00", ":60", "24", "00", "9999", "0000", ".", "x", ""])


@st.composite
def nearly(draw: st.DrawFn) -> str:
    """A time with a piece of it replaced."""
    text, piece = draw(_TAKEN), draw(_PIECES)
    at = draw(st.integers(0, len(text)))
    return text[:at] + piece + text[at + draw(st.integers(0, 5)) :]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(_TAKEN, nearly()))
@example("2026-11-28t07:00:00z")
def test_the_api_server_takes_what_python_takes(resources: Resources, text: str) -> None:
    answer = resources.try_job({"pipeline": "separate", "startTime": text})
    assert (answer.status < 400) == is_time(text), answer.message


def test_refused_with_a_sentence(resources: Resources) -> None:
    for text in REFUSED.values():
        answer = resources.try_job({"pipeline": "separate", "startTime": text})
        assert answer.status == 422, text
        assert "must be a time such as" in answer.message, text


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN.keys())
def test_a_job_with_any_time_can_be_written_and_cancelled(resources: Resources, text: str) -> None:
    name = resources.create_job({"pipeline": "separate", "startTime": text})
    report = {"attempt": 1, "percent": 1, "reportTime": text}
    assert resources.patch_status(name, {"state": "Running", "progress": {"one": report}}).status == 200
    assert resources.patch_spec(name, {"cancel": True}).status == 200
    assert resources.patch_status(name, {"state": "Cancelled"}).status == 200
