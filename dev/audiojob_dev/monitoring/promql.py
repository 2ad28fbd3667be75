"""As much of PromQL as is needed to say which release a query is about, and which names it uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

METRIC: Final = re.compile(r"\b(?:audiojob_[a-z0-9_]+|audiojob:[a-z0-9_:]+|process_[a-z_]+)")
_MATCHERS: Final = r"(?:\{(?P<matchers>[^}]*)\})?"
_SELECTOR: Final = re.compile(f"(?P<name>{METRIC.pattern}){_MATCHERS}")
_MATCHER: Final = re.compile(r'(?P<label>\w+)(?P<how>=~|!~|!=|=)"(?P<value>[^"]*)"')
_AGGREGATION: Final = re.compile(r"\bby ?\(([^)]*)\) ?\(")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^)]*)\)")

LEADS: Final = "on (namespace, pod) audiojob_operator_leading == 1"


def led(gauge: str) -> str:
    """A gauge of the process that leads alone: one that stands by, or was paused and scraped before, shows its own."""
    return f"{gauge} and {LEADS}"


def total(gauge: str, *by: str) -> str:
    """Its sum over all series with these labels."""
    return f"sum by ({', '.join(by)}) ({led(gauge)})" if by else f"sum({led(gauge)})"


def longest(gauge: str, *by: str) -> str:
    """The greatest of all series with these labels."""
    return f"max by ({', '.join(by)}) ({led(gauge)})" if by else f"max({led(gauge)})"


def any_of(words: Collection[str]) -> str:
    """A matcher's value for any of these words."""
    return "|".join(sorted(words))


def scoped(query: str, matcher: str) -> str:
    """The query with this matcher at each of our metrics, such as `namespace="audiojob-system"`.

    Several releases may share a Prometheus, and a cluster.
    """

    def selector(match: re.Match[str]) -> str:
        matchers = match["matchers"]
        return f"{match['name']}{{{matcher}{',' if matchers else ''}{matchers or ''}}}"

    return _SELECTOR.sub(selector, query)


def aggregations(query: str) -> Iterator[tuple[set[str], str]]:
    """The labels of each `by (…) (…)`, and what it sums up, without what that is joined with."""
    for match in _AGGREGATION.finditer(query):
        depth, end = 1, match.end()
        while depth and end < len(query):
            depth += {"(": 1, ")": -1}.get(query[end], 0)
            end += 1
        yield _labels(match[1]), query[match.end() : end - 1].partition(" and on ")[0]


@dataclass(frozen=True, slots=True)
class Matcher:
    """`label="value"` of a selector; `words` are the alternatives of a regular expression."""

    label: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric as a query names it, suffix of a histogram's series included."""

    name: str
    matchers: tuple[Matcher, ...]


def selectors(query: str) -> Iterator[Selector]:
    """Each of our metrics in the query, in order."""
    for match in _SELECTOR.finditer(query):
        yield Selector(match["name"], tuple(_matchers(match["matchers"] or "")))


def grouped_by(query: str) -> set[str]:
    """All labels that the query groups or joins by."""
    return {label for labels in _GROUPING.findall(query) for label in _labels(labels)}


def _labels(text: str) -> set[str]:
    return {label.strip() for label in text.split(",") if label.strip()}


def _matchers(text: str) -> Iterator[Matcher]:
    for match in _MATCHER.finditer(text):
        words = match["value"].split("|") if "~" in match["how"] else [match["value"]]
        yield Matcher(match["label"], tuple(words))
