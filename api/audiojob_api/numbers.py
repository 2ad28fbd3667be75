"""Numbers of JSON, which has one kind of them: 5.0 is the whole number 5."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BeforeValidator

_EXACT: Final = 2**53  # beyond it a float does not say which whole number was meant
_WRITTEN: Final = re.compile(r"-?[0-9]{1,18}")
_DEPTH: Final = 12  # of bodies that mean something; Python recurses no deeper than a thousand


def whole_numbers(value: Any, depth: int = _DEPTH) -> Any:
    """``value`` with whole numbers as int, however they were written. What is nested very deep stays as it is."""
    if isinstance(value, float):
        return int(value) if abs(value) <= _EXACT and value.is_integer() else value
    if depth and isinstance(value, dict):
        return {name: whole_numbers(each, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, list):
        return [whole_numbers(each, depth - 1) for each in value]
    return value


def _written(value: object) -> object:
    """pydantic would take 1_0 for ten, 1.0 for one, and spaces around it: other readers of an address may not."""
    if isinstance(value, str) and not _WRITTEN.fullmatch(value):
        raise ValueError("must be a whole number, written in digits")
    return value


DIGITS: Final = BeforeValidator(_written)
"""Of a whole number in a path or a query. It stands last: pydantic describes no bounds that stand behind it."""
