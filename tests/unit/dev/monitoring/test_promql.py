"""The little of PromQL that is read: which metrics, labels and groupings a query has, and where a matcher goes."""

from __future__ import annotations

import pytest

from audiojob_dev.monitoring.promql import Matcher, Selector, aggregations, grouped_by, scoped, selectors

SCOPED = {
    "a metric alone": ("audiojob_api_jobs > 1", 'audiojob_api_jobs{n="x"} > 1'),
    "a metric with matchers": (
        'audiojob_operator_gpus{state="held"} > 0', 'audiojob_operator_gpus{n="x",state="held"} > 0',
    ),
    "a range": ("rate(audiojob_operator_facts_total[5m])", 'rate(audiojob_operator_facts_total{n="x"}[5m])'),
    "a recorded one": ("max(audiojob:wait_seconds:p90_1h)", 'max(audiojob:wait_seconds:p90_1h{n="x"})'),
    "two joined": (
        "audiojob_api_jobs and on (pod) audiojob_api_build_info == 1",
        'audiojob_api_jobs{n="x"} and on (pod) audiojob_api_build_info{n="x"} == 1',
    ),
    "one of the process": ("process_open_fds", 'process_open_fds{n="x"}'),
    "none of ours": ("vector(0)", "vector(0)"),
}  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), SCOPED.values(), ids=SCOPED)
def test_a_query_is_narrowed_to_one_release(query: str, expected: str) -> None:
    assert scoped(query, 'n="x"') == expected


def test_what_a_query_asks_for() -> None:
    query = 'sum by (queue, le) (rate(audiojob_operator_x_bucket{a="b",c!~"d|e"}[5m])) and on (pod) audiojob_operator_y'
    assert list(selectors(query)) == [
        Selector("audiojob_operator_x_bucket", (Matcher("a", ("b",)), Matcher("c", ("d", "e")))),
        Selector("audiojob_operator_y", ()),
    ]
    assert grouped_by(query) == {"queue", "le", "pod"}
    assert list(aggregations(query)) == [({"queue", "le"}, 'rate(audiojob_operator_x_bucket{a="b",c!~"d|e"}[5m])')]


def test_what_is_summed_up_is_told_from_what_it_is_joined_with() -> None:
    query = "max(sum by (a) (x and on (pod) y == 1) / sum by (b, c) (z))"
    assert list(aggregations(query)) == [({"a"}, "x"), ({"b", "c"}, "z")]
