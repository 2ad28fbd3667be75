"""Kubernetes quantities: of bytes, and of cores."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

_QUANTITY: Final = re.compile(r"^(?P<number>[0-9]+(\.[0-9]+)?)(?P<suffix>m|[kMGTPE]i?|Ki)?$")
_POWERS: Final = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def quantity_bytes(text: str) -> int:
    """``1.5Gi`` → 1610612736, rounded up. Raises ValueError for what is not a quantity."""
    return int(_exact(text).to_integral_value(ROUND_CEILING))


def quantity_cores(text: str) -> float:
    """``500m`` → 0.5. Raises ValueError for what is not a quantity."""
    return float(_exact(text))


def _exact(text: str) -> Decimal:
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 512Mi or 2G")
    number, suffix = Decimal(match["number"]), match["suffix"] or ""
    if suffix == "m":
        return number / 1_000
    if suffix.endswith("i"):
        return number * Decimal(1024) ** _POWERS[suffix[0].replace("K", "k")]
    return number * Decimal(1_000) ** _POWERS[suffix]
