"""Fixtures of all unit tests."""

from __future__ import annotations

import pytest

from audiojob_types.outside.redaction import SECRETS


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> None:
    """What one test calls a secret is redacted for the whole process, and may be a word that the next one looks for."""
    SECRETS.forget()
