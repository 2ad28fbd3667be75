"""One number for a whole job: phase percents, weighted."""

from __future__ import annotations

from collections.abc import Mapping


def overall_percent(weights: Mapping[str, int], percents: Mapping[str, int], previous: int = 0) -> int:
    """The job's percent (0-99) from phase weights and phase percents (0-100); never below ``previous``.

    Phases without a percent count as 0. 100 is the operator's to write, once the job is complete.
    """
    total = sum(weights.values())
    if total <= 0:
        return max(previous, 0)
    done = sum(weight * min(100, max(0, percents.get(phase, 0))) for phase, weight in weights.items())
    return max(previous, min(99, done // total))
