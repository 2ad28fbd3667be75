"""Who goes first where pools of workers and Jobs of their own want the same GPUs: the order is that of AudioJobs. Pure.

A GPU that is free goes to whoever goes first of those for whom there are enough; a worker is made for the first
AudioJob that waits for one. What is given stays given: a worker ends for others after its phase, a Job never does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from audiojob_operator.records.objects import Key

Urgency: TypeAlias = tuple[int, datetime, Key]


@dataclass(frozen=True, slots=True)
class Claim:
    """A pool lacks so many workers, with so many GPUs each, for AudioJobs of which ``first`` goes first."""

    kind: str
    workers: int
    gpus: int
    first: Key


@dataclass(frozen=True, slots=True)
class Want:
    """So many GPUs are wanted together, by an AudioJob or for a worker, ``times`` over."""

    urgency: Urgency
    gpus: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class GpusForPool:
    """How many free GPUs a pool may have for more workers, and how many of its workers' are for others."""

    room: int = 0
    to_give: int = 0


def before(wants: Iterable[Want], turn: Urgency | None) -> list[Want]:
    """Those that go before this one, in their order; all of them where nobody asks."""
    return sorted((each for each in wants if turn is None or each.urgency < turn), key=lambda each: each.urgency)


def taken_first(wants: Iterable[Want], free: int) -> int:
    """How many of the free GPUs these will get: each of them that for which there are enough left."""
    taken = 0
    for each in wants:
        taken += each.gpus * max(0, min(each.times, (free - taken) // each.gpus))
    return taken


def for_pool(wants: Iterable[Want], turn: Urgency | None, free: int, has: int) -> GpusForPool:
    """``turn`` is that of the AudioJob which goes first of those that wait for a worker; None: none waits. The pool's
    workers have ``has`` GPUs.

    While phases wait for it a pool leaves GPUs to those alone whom they help, with what is free: else its workers would
    go and come again for somebody who needs more.
    """
    first = before(wants, turn)
    wanted = sum(each.gpus * each.times for each in first) if turn is None else taken_first(first, free + has)
    return GpusForPool(max(0, free - wanted), max(0, wanted - free))
