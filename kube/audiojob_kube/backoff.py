"""How long to wait after the n-th failure in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first_seconds` up to `cap_seconds`; jitter takes off up to half."""

    first_seconds: float = 0.2
    cap_seconds: float = 10.0

    def delay(self, failures: int, *, at_least: float = 0.0) -> float:
        """Seconds to wait after `failures` (1, 2, …) in a row, but not less than the server asked for.

        The jitter keeps many clients from returning to a restarted server in step.
        """
        # The exponent is bounded only to keep the power of two a finite number.
        bound = min(self.cap_seconds, self.first_seconds * 2 ** min(failures - 1, 32))
        return max(random.uniform(bound / 2, bound), at_least)  # noqa: S311 - no secret


DEFAULT_BACKOFF = Backoff()
