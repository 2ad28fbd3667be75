from __future__ import annotations

import pytest
from tests.unit.operator.town import Town


@pytest.fixture
def town() -> Town:
    """Jobs of one namespace that know of each other; nobody yet."""
    return Town()
