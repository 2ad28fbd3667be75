"""Every reason is explained, in sentences that help, and the page about them is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audiojob_types.generate.reasons_doc import reasons_page
from audiojob_types.reasons import EXPLANATIONS, Reason

ROOT = Path(__file__).parents[3]


# A status holds 200 characters of it, and a table cell no bar.
_SENTENCE = re.compile(r"(?=.{1,200}$)([A-Z]|spec\.)[^|]*\.")


def test_every_reason_is_explained_in_sentences() -> None:
    sentences = [text for each in EXPLANATIONS.values() for text in (each.meaning, each.suggestion)]
    assert [text for text in sentences if not _SENTENCE.fullmatch(text)] == []


def test_reasons_are_what_conditions_take() -> None:
    assert [reason for reason in Reason if not re.fullmatch(r"[A-Z][A-Za-z]{1,62}", reason.value)] == []
    # Two words that differ in capitals only would be one to a reader.
    assert len({reason.value.lower() for reason in Reason}) == len(Reason)


def test_no_explanation_without_a_reason() -> None:
    assert EXPLANATIONS.keys() == set(Reason)


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8") == reasons_page(), "run `make generate`"


def test_the_page_has_a_row_for_each_reason() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", reasons_page(), re.MULTILINE)
    assert rows == sorted(reason.value for reason in Reason)


@pytest.mark.parametrize("reason", sorted(Reason))
def test_no_suggestion_promises_a_retry_that_may_never_come(reason: Reason) -> None:
    assert "tried again" not in EXPLANATIONS[reason].suggestion
