"""What the errors of drivers mean: which pass, and what an administrator does."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError

from audiojob_api.sql.errors import DatabaseUnavailable, in_words, words_of


class PostgresError(Exception):
    """As asyncpg raises them."""

    def __init__(self, sqlstate: str, text: str = "no") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


WORDS = {
    "a full disk": ("53100", "disk is full"),
    "too many connections": ("53300", "away"),
    "a standby": ("25006", "read-only"),
    "two that wait for each other": ("40P01", "locked by another session"),
    "a lock that does not come": ("55P03", "locked by another session"),
    "a server that stops": ("57P01", "away"),
    "a statement that takes too long": ("57014", "away"),
    "a broken connection": ("08006", "away"),
    "a connection that ended without a word": ("", "away"),
}
OURS = {"a row that is there": "23505", "a table that is not": "42P01", "a division by zero": "22012"}


@pytest.mark.parametrize(("state", "words"), WORDS.values(), ids=WORDS)
def test_what_passes_is_said_in_words(state: str, words: str) -> None:
    error = DBAPIError("SELECT 1", {}, PostgresError(state))
    assert words in (words_of(error) or "")
    with pytest.raises(DatabaseUnavailable, match=words), in_words():
        raise error


@pytest.mark.parametrize("state", OURS.values(), ids=OURS)
def test_a_fault_of_ours_stays_one(state: str) -> None:
    with pytest.raises(DBAPIError), in_words():
        raise DBAPIError("SELECT 1", {}, PostgresError(state))
    assert words_of(DBAPIError("SELECT 1", {}, sqlite3.IntegrityError("UNIQUE"))) is None
