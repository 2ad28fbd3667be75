"""What a metric is called and means: the one place of its name, for the program that serves it and for its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RESERVED_LABELS: Final = frozenset({"namespace", "pod", "container", "job", "instance", "endpoint", "service"})
"""Prometheus puts these on each series of a scraped pod; a label of ours by such a name would become `exported_…`."""


@dataclass(frozen=True, slots=True)
class Description:
    """One metric by its full name: that of a counter ends with `_total`. Other modules name the constant, not the word.

    ``buckets`` are the upper bounds of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if taken := RESERVED_LABELS.intersection(self.labels):
            raise ValueError(f"{self.name}: Prometheus uses the label {', '.join(sorted(taken))} itself; name another")
        if (self.kind == "counter") is not self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a counter's name ends with _total, and no other's does")
        if (self.kind == "histogram") is not bool(self.buckets):
            raise ValueError(f"{self.name}: a histogram has buckets, and nothing else has")
