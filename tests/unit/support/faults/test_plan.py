"""The rules of the fault proxy: which calls they choose, and that a seed makes the same choices again."""

from __future__ import annotations

import pytest
from tests.support.faults.plan import Answer, Call, Drop, Match, Plan, Rule, Verb, on

AUDIOJOBS = "/apis/audiojobs.dev/v1alpha1"
PATCH = Call(Verb.PATCH, "audiojobs", "music", "song", "status")


@pytest.mark.parametrize(
    ("method", "path", "query", "want"),
    [
        ("GET", "/api/v1/pods", {}, Call(Verb.LIST, "pods")),
        ("GET", "/api/v1/pods", {"watch": "1"}, Call(Verb.WATCH, "pods")),
        ("GET", "/api/v1/namespaces/music", {}, Call(Verb.GET, "namespaces", "", "music")),
        ("GET", "/api/v1/namespaces/music/pods/a", {}, Call(Verb.GET, "pods", "music", "a")),
        ("POST", "/apis/batch/v1/namespaces/music/jobs", {}, Call(Verb.CREATE, "jobs", "music")),
        ("DELETE", "/apis/batch/v1/namespaces/music/jobs/a", {}, Call(Verb.DELETE, "jobs", "music", "a")),
        ("PATCH", f"{AUDIOJOBS}/namespaces/music/audiojobs/song/status", {}, PATCH),
        ("GET", f"{AUDIOJOBS}/audiojobs", {"watch": "true"}, Call(Verb.WATCH, "audiojobs")),
        ("GET", "/apis", {}, Call(Verb.GET, "")),
        ("GET", "/version", {}, Call(Verb.GET, "")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_is_read_as_the_call_that_it_is(method: str, path: str, query: dict[str, str], want: Call) -> None:
    assert Call.of(method, path, query) == want


@pytest.mark.parametrize(
    ("match", "hits"),
    [
        pytest.param(Match(), True, id="an empty match hits everything"),
        pytest.param(on(Verb.PATCH, Verb.CREATE), True, id="one of its verbs"),
        pytest.param(on(Verb.GET), False, id="another verb"),
        pytest.param(on(resource="audiojobs", subresource="status"), True, id="resource and subresource"),
        pytest.param(on(resource="audiojobs", subresource=""), False, id="the object itself and not its status"),
        pytest.param(on(namespace="elsewhere"), False, id="another namespace"),
    ],
)
def test_a_match(match: Match, hits: bool) -> None:
    assert match(PATCH) == hits


def hits(plan: Plan, calls: int) -> list[int]:
    return [number for number in range(calls) if plan.faults(PATCH)]


@pytest.mark.parametrize(
    ("rule", "want"),
    [
        pytest.param(Rule(on(), Drop()), [0, 1, 2, 3, 4, 5], id="every call"),
        pytest.param(Rule(on(), Drop(), count=2), [0, 1], id="the first two"),
        pytest.param(Rule(on(), Drop(), skip=2, count=1), [2], id="the third alone"),
        pytest.param(Rule(on(), Drop(), skip=1, every=2), [1, 3, 5], id="every second"),
    ],
)
def test_how_often_a_rule_fires(rule: Rule, want: list[int]) -> None:
    assert hits(Plan((rule,)), 6) == want


def test_a_seed_makes_the_same_choices_again_and_another_seed_others() -> None:
    def chosen(seed: int) -> list[int]:
        return hits(Plan((Rule(on(), Drop(), probability=0.5),), seed), 64)

    assert chosen(7) == chosen(7)
    assert chosen(7) != chosen(8)
    assert 10 < len(chosen(7)) < 54


def test_calls_that_another_rule_matches_do_not_shift_a_rules_choices() -> None:
    rule = Rule(on(Verb.PATCH), Drop(), probability=0.5)
    other = Rule(on(Verb.GET), Answer(500), probability=0.5)
    alone, mixed = Plan((rule, other), 7), Plan((rule, other), 7)
    seen = []
    for _ in range(32):
        mixed.faults(Call(Verb.GET, "jobs"))
        seen.append(bool(mixed.faults(PATCH)))
    assert seen == [bool(alone.faults(PATCH)) for _ in range(32)]
