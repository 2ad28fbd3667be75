"""Faults of calls and watches, and kills, drawn from a seed."""

from __future__ import annotations

import random

from tests.support.faults.plan import (
    WRITES,
    Act,
    Answer,
    Delay,
    Drop,
    Duplicate,
    Expire,
    Fault,
    Freeze,
    Lose,
    Match,
    Plan,
    Reorder,
    Rule,
    StaleList,
    Verb,
    on,
)


def random_plan(seed: int, namespace: str, kill: Act) -> Plan:
    """Three to seven rules; none of them lasts for ever, so that every run can end."""
    chance = random.Random(seed)
    rules = [_rule(chance, namespace) for _ in range(chance.randint(3, 6))]
    writes = Match(WRITES, namespace=namespace)
    rules += [Rule(writes, kill, skip=chance.randint(0, 25), count=1) for _ in range(chance.randint(0, 2))]
    return Plan(tuple(rules), seed)


def _rule(chance: random.Random, namespace: str) -> Rule:
    kind = chance.choice(["write", "write", "read", "watch", "watch", "list"])
    if kind == "write":
        match = on(*WRITES, namespace=namespace)
        answers: tuple[int, ...] = (409, 429, 500, 503, 504)
        if chance.random() < 0.3:  # the patch's own tests answer 422 too: read again, decide again
            match = on(Verb.PATCH, namespace=namespace, resource="audiojobs", subresource="status")
            answers = (409, 422)
        made = _call_fault(chance, answers)
        return Rule(match, made, count=chance.randint(1, 12), probability=chance.uniform(0.05, 0.5))
    if kind == "read":
        made = _call_fault(chance, (429, 500, 503, 504))
        return Rule(on(Verb.GET, Verb.LIST), made, count=chance.randint(1, 8), probability=chance.uniform(0.05, 0.4))
    if kind == "list":
        return Rule(on(Verb.LIST), StaleList(), count=chance.randint(1, 10), probability=chance.uniform(0.2, 1.0))
    faults: list[Fault] = [
        Duplicate(chance.uniform(0.1, 1.0)),
        Reorder(chance.uniform(0.1, 0.6)),
        Freeze(chance.randint(0, 6)),
        Expire(chance.randint(0, 6)),
        Drop(),
        Answer(410),
    ]
    resource = chance.choice(["", "audiojobs", "jobs", "pods"])
    return Rule(on(Verb.WATCH, resource=resource), chance.choice(faults), count=chance.randint(1, 4), probability=0.7)


def _call_fault(chance: random.Random, statuses: tuple[int, ...]) -> Fault:
    status = chance.choice(statuses)
    faults: list[Fault] = [
        Drop(),
        Lose(),
        Delay(chance.uniform(0.1, 1.0)),
        Answer(status, retry_after=1 if status == 429 else None),
    ]
    return chance.choice(faults)
