"""SECURITY.md names tests: each exists, so that no promise rests on one that was renamed or removed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:unit|integration|chart|e2e)/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    path = ROOT / "tests" / file
    assert path.is_file(), f"SECURITY.md names tests/{file}"
    there = re.search(rf"^ *(?:async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not name or there, f"SECURITY.md names {name} of tests/{file}"


def test_each_promise_has_a_test_or_is_said_to_be_open() -> None:
    rows = [line for line in TEXT.partition("## What is promised")[2].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    assert [row for row in rows if "**open**" not in row and not re.search(r"`\w+/[\w/]+\.py", row)] == []
