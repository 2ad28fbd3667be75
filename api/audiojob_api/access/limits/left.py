"""What is left of a user's limits, as answers tell it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_api.access.limits.ledger import DAY, HOUR, MINUTES, Bounds, Exceeded, Used

_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class Left:
    """One limit: so much in so many seconds, so much left, and when there is more; None where time brings none."""

    name: str
    most: int
    window: int | None
    left: int
    more_in: int | None

    @property
    def policy(self) -> str:
        """An item of the field RateLimit-Policy."""
        return f'"{self.name}";q={self.most}' + ("" if self.window is None else f";w={self.window}")

    @property
    def room(self) -> str:
        """An item of the field RateLimit."""
        return f'"{self.name}";r={self.left}' + ("" if self.more_in is None else f";t={self.more_in}")


def may_have_passed(answer: bool | Exceeded) -> bool:
    """Whether a limit may be broken no more once it is seen what became of the jobs that count."""
    return isinstance(answer, Exceeded) and (answer.ends is None or answer.limit == MINUTES)


def left_of(used: Used, bounds: Bounds, now: int) -> list[Left]:
    """Every limit that there is."""
    midnight = now - now % DAY + DAY
    hour, here = ((each or now) + HOUR for each in (used.oldest, used.address_oldest))
    rows: list[tuple[str, int | None, int | None, float, int | None]] = [
        ("jobs-day", bounds.day, DAY, used.day, midnight),
        ("jobs-hour", bounds.hour, HOUR, used.hour, hour),
        ("jobs-at-once", bounds.at_once, None, used.at_once, None),
        ("jobs-hour-address", bounds.address_hour, HOUR, used.address_hour, here),
        ("audio-minutes-day", bounds.minutes, DAY, used.minutes, midnight),
    ]
    return [
        Left(
            name, most, None if window is None else window // _SECOND, max(0, int(most - so_far)),
            None if ends is None else max(0, -(-(ends - now) // _SECOND)),
        )
        for name, most, window, so_far, ends in rows
        if most is not None
    ]  # fmt: skip
