"""Changes of status records are checked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.unit.operator.builders import NOW

from audiojob_operator.records.changes import clip, updated
from audiojob_types.reasons import EXPLANATIONS
from audiojob_types.resources.job import PhaseState, PhaseStatus

RECORD = PhaseStatus(name="it", attempt=2, start_time=NOW)


def test_a_change_keeps_all_else() -> None:
    done = updated(RECORD, {"state": PhaseState.SUCCEEDED, "start_time": None})
    assert done == PhaseStatus(name="it", attempt=2, state=PhaseState.SUCCEEDED)
    assert RECORD.start_time == NOW


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"stat": PhaseState.FAILED}, TypeError, id="a misspelt field"),
        pytest.param({"startTime": NOW}, TypeError, id="a field by its name in JSON"),
        pytest.param({"message": "a" * 2_000}, ValidationError, id="a message that is too long"),
        pytest.param({"failures": -1}, ValidationError, id="a number out of range"),
        pytest.param({"state": "Perhaps"}, ValidationError, id="an unknown state"),
    ],
)
def test_a_change_that_the_api_server_would_refuse_is_refused_here(
    changes: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        updated(RECORD, changes)


def test_clip() -> None:
    assert (clip("abc", 3), clip("abcd", 3), len(clip("a" * 5_000))) == ("abc", "ab…", 1_024)


def test_a_message_tells_no_secret_of_what_it_quotes() -> None:
    said = "The program failed: GET https://me:pw@h.example/a?sig=1 with Authorization: Bearer x.y.z"
    assert clip(said) == "The program failed: GET https://***@h.example/a?*** with Authorization: ***"


def test_our_own_sentences_stay_as_they_are() -> None:
    texts = [text for each in EXPLANATIONS.values() for text in (each.meaning, each.suggestion)]
    assert [text for text in texts if clip(text) != text] == []
