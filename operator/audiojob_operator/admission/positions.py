"""Where a job stands among those of its queue that wait for the same: for people, when it is queued. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from audiojob_operator.admission.cycle import Cycle
from audiojob_operator.admission.gpus.sharing import Urgency
from audiojob_operator.admission.roster import Needs, Roster, Row, Turn
from audiojob_operator.records.admission import Admission
from audiojob_types.ordering import sort_key
from audiojob_types.reasons import Reason

_COUNTED: Final = frozenset({Reason.QUEUE_FULL, Reason.WAITING_FOR_GPU})
_MAX_LINES: Final = 32  # each user of a queue and each priority has a line: with more, counting would cost too much


def with_position(found: Admission, row: Row, roster: Roster, cycle: Cycle, order: tuple[datetime, int]) -> Admission:
    """The answer for a waiting job with its position. ``order``: the moment, and the seconds of ageing."""
    if row.candidate is None or found.reason not in _COUNTED:
        return found
    ahead = _ahead(found.reason, row, roster, cycle, order)
    return found if ahead is None else replace(found, message=f"{found.message} It was queued as number {ahead + 1}.")


def _ahead(reason: Reason, row: Row, roster: Roster, cycle: Cycle, order: tuple[datetime, int]) -> int | None:
    own = row.candidate
    assert own is not None, "only candidates stand in lines"
    queue = own.queue_key
    same = {needs for needs, answer in cycle.waiting.get(queue, {}).items() if answer.reason is reason}
    lines = [
        (priority, line)
        for needs, by_priority in roster.waiting.get(queue, {}).items()
        if needs in same
        for priority, line in by_priority.items()
    ]
    if len(lines) > _MAX_LINES:
        return None

    def turn(priority: int, each: Turn) -> Urgency:
        return sort_key(priority, each[0], each[1], *order)

    def before(priority: int, line: list[Turn]) -> int:
        """How many of a line go first. In it the oldest is the most urgent one, whatever the time."""
        if turn(priority, line[0]) >= mine:
            return 0
        if turn(priority, line[-1]) < mine:
            return len(line)
        return bisect_left(line, mine, key=lambda each: turn(priority, each))

    mine = turn(own.priority, (own.created, own.key))
    count = sum(before(priority, line) for priority, line in lines)
    return count - sum(turn(*theirs) < mine for theirs in _starting(same, row, roster, cycle))


def _starting(same: set[Needs], row: Row, roster: Roster, cycle: Cycle) -> Iterator[tuple[int, Turn]]:
    """Those that have been given a slot and stand in the same lines until they take it."""
    assert row.candidate is not None, "only candidates stand in lines"
    for key in cycle.offers:
        other = roster.get(key)
        each = other.candidate if other is not None else None
        if other is None or each is None or each.holds_slot or other.needs not in same:
            continue
        if each.queue_key == row.candidate.queue_key:
            yield each.priority, (each.created, each.key)
