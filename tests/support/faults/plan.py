"""What goes wrong between a client and the API server: rules that choose calls, and the fault for each.

Pure: which calls are hit depends only on the plan, its seed and the order of the calls that each rule matches, so a
run with the same seed makes the same choices.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verb(StrEnum):
    """What a call does, in the words of Kubernetes' audit log."""

    GET = "get"
    LIST = "list"
    WATCH = "watch"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"


WRITES = frozenset({Verb.CREATE, Verb.UPDATE, Verb.PATCH, Verb.DELETE})
_BY_METHOD = {"POST": Verb.CREATE, "PUT": Verb.UPDATE, "PATCH": Verb.PATCH, "DELETE": Verb.DELETE}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as rules look at it. ``namespace`` is "" for cluster-wide ones."""

    verb: Verb
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of(cls, method: str, path: str, query: Mapping[str, str]) -> Call:
        """The call that a request makes; paths outside of /api and /apis have resource ""."""
        parts = [part for part in path.split("/") if part]
        head = 2 if parts[:1] == ["api"] else 3
        if parts[:1] not in (["api"], ["apis"]) or len(parts) <= head:
            return cls(_BY_METHOD.get(method, Verb.GET), "")
        rest, namespace = parts[head:], ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource, name, subresource = (*rest, "", "")[:3]
        verb = _BY_METHOD.get(method)
        if verb is None:
            verb = Verb.GET if name else Verb.WATCH if query.get("watch") in ("1", "true") else Verb.LIST
        return cls(verb, resource, namespace, name, subresource)


# ---------------------------------------------------------------- faults of one call


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is cut before the server hears of the call."""


@dataclass(frozen=True, slots=True)
class Lose:
    """The server does as asked; the connection is cut before the answer."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The call reaches the server ``seconds`` later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """The call reaches the server once ``gate`` is set, even if its client is gone by then."""

    gate: threading.Event = field(repr=False)


@dataclass(frozen=True, slots=True)
class Act:
    """``act`` is called, then the connection is cut; the server never hears of the call."""

    act: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Another answer than the server's, which never hears of the call."""

    status: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class StaleList:
    """A list is answered with the first answer that the same list ever got here (the server's own the first time)."""


# ---------------------------------------------------------------- faults of one watch


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Each event comes twice, with this probability."""

    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Reorder:
    """An event comes after its successor, with this probability; one without a successor comes ``patience`` late."""

    probability: float = 1.0
    patience: float = 0.2


@dataclass(frozen=True, slots=True)
class Freeze:
    """After ``events`` events no byte comes any more, on an open connection, until ``gate`` is set (None: for ever)."""

    events: int = 0
    gate: threading.Event | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Expire:
    """After ``events`` events the watch says 410 Gone, as after a compaction, and ends."""

    events: int = 0


StreamFault = Duplicate | Reorder | Freeze | Expire
Fault = Drop | Lose | Delay | Hold | Act | Answer | StaleList | StreamFault
STREAM_FAULTS = (Duplicate, Reorder, Freeze, Expire)


# ---------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls a rule is about; what is empty matches everything."""

    verbs: frozenset[Verb] = frozenset()
    resource: str = ""
    namespace: str = ""
    subresource: str | None = None

    def __call__(self, call: Call) -> bool:
        return (
            (not self.verbs or call.verb in self.verbs)
            and (not self.resource or call.resource == self.resource)
            and (not self.namespace or call.namespace == self.namespace)
            and (self.subresource is None or call.subresource == self.subresource)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """The fault hits matching calls after the first ``skip``, every ``every``-th, at most ``count`` (None: no limit)
    and with this probability."""

    match: Match
    fault: Fault
    skip: int = 0
    every: int = 1
    count: int | None = None
    probability: float = 1.0


@dataclass(slots=True)
class _State:
    rule: Rule
    random: random.Random
    matched: int = 0
    fired: int = 0


@dataclass(slots=True)
class Plan:
    """Rules with a seed. Each rule draws from its own generator, so that one does not shift another's choices."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0
    _states: list[_State] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._states = [_State(rule, random.Random(f"{self.seed}/{number}")) for number, rule in enumerate(self.rules)]

    def faults(self, call: Call) -> list[tuple[Fault, random.Random]]:
        """What happens to the call, in the order of the rules, each with the generator for its further choices."""
        return [(state.rule.fault, state.random) for state in self._states if _fires(state, call)]

    def fired(self, fault: Fault) -> int:
        """How often the rules with this very fault have fired."""
        return sum(state.fired for state in self._states if state.rule.fault is fault)


def _fires(state: _State, call: Call) -> bool:
    rule = state.rule
    if not rule.match(call):
        return False
    number = state.matched
    state.matched += 1
    if number < rule.skip or (number - rule.skip) % rule.every:
        return False
    if rule.count is not None and state.fired >= rule.count:
        return False
    if rule.probability < 1.0 and state.random.random() >= rule.probability:
        return False
    state.fired += 1
    return True


def on(*verbs: Verb, resource: str = "", namespace: str = "", subresource: str | None = None) -> Match:
    """A short way to write a Match."""
    return Match(frozenset(verbs), resource, namespace, subresource)
