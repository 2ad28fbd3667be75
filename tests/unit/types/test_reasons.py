"""Every reason is explained, in sentences that help, and the page about them is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audiojob_types.generate.reasons_doc import reasons_page
from audiojob_types.reasons import EXPLANATIONS, Reason

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_in_sentences(reason: Reason) -> None:
    explanation = EXPLANATIONS[reason]
    for sentence in (explanation.meaning, explanation.suggestion):
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence.startswith("spec.")
        assert len(sentence) <= 200, "it goes into a status"
        assert "|" not in sentence, "it goes into a table"


@pytest.mark.parametrize("reason", Reason)
def test_reasons_are_what_conditions_take(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]{1,62}", reason.value)
    # Two words that differ in capitals only would be one to a reader.
    assert [other for other in Reason if other.value.lower() == reason.value.lower()] == [reason]


def test_no_explanation_without_a_reason() -> None:
    assert EXPLANATIONS.keys() == set(Reason)


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8") == reasons_page(), "run `make generate`"


def test_the_page_has_a_row_for_each_reason() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", reasons_page(), re.MULTILINE)
    assert rows == sorted(reason.value for reason in Reason)
