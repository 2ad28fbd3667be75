"""A worker that does not begin what it is told is told again: its node may have lost that.

A worker reads its order in a volume, which the kubelet writes anew when the annotation changes. A change that comes
while it does so may wait for its next look at all pods, 60 to 90 s later. Any further change of the text brings it.
"""

from __future__ import annotations

from collections.abc import Sequence

from audiojob_operator.records.workers import Bound
from audiojob_types.constants import TOLD_AGAIN_SECONDS
from audiojob_types.workers.order import MAX_ORDER_BYTES


def told_again(before: str, after: str, bound: Sequence[Bound], clock: float) -> str:
    """The order ``after``, with a space at its end for each time that it is told again by now; readers pass over them.

    ``before`` is what stands there: its spaces say how often it was, also to an operator that has just started.
    """
    if (waited := _waited(bound, clock)) is None:
        return after
    had = len(before) - len(before.rstrip(" "))
    due = sum(waited >= seconds for seconds in TOLD_AGAIN_SECONDS)
    again = after.rstrip(" ") + " " * max(had, due)
    return again if len(again.encode()) <= MAX_ORDER_BYTES else after


def seconds_to_next(bound: Sequence[Bound], clock: float) -> float | None:
    """When the next time is due; None for none."""
    if (waited := _waited(bound, clock)) is None:
        return None
    return next((seconds - waited for seconds in TOLD_AGAIN_SECONDS if seconds > waited), None)


def due(bound: Sequence[Bound]) -> list[Bound]:
    """What of it is to be begun now, and was not: what a pod is told ahead only once it has no other any more."""
    return [each for each in bound if not each.begun and (not each.ahead or len(bound) == 1)]


def _waited(bound: Sequence[Bound], clock: float) -> float | None:
    """How long what a pod has was not begun; None if all of it has."""
    return max((clock - each.since for each in due(bound)), default=None)
