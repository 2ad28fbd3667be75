"""Numbers of JSON, which has one kind of them: 5.0 is the whole number 5."""

from __future__ import annotations

from typing import Any, Final

_EXACT: Final = 2**53  # beyond it a float does not say which whole number was meant
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
