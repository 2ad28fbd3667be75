"""How much may be asked of a site at once, and what is asked of it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """How much may be asked of a host and its subdomains at once; None is no limit. Seconds between two starts."""

    host: str
    max_running: int | None = None
    pause_seconds: int = 0


@dataclass(frozen=True, slots=True)
class CoolDownRules:
    """How many AudioJobs must have been refused by a host before others of their namespace do not ask it either, and
    how many namespaces before nobody does. Refusals before ``since`` hold nobody."""

    jobs: int = 2
    namespaces: int = 2
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SiteRules:
    """The administrator's limits. ``max_per_host`` holds for every host that ``limits`` do not name."""

    limits: tuple[SiteLimit, ...] = ()
    max_per_host: int | None = None
    cool_down: CoolDownRules = CoolDownRules()


@dataclass(frozen=True, slots=True)
class SiteUse:
    """One download that runs, is about to begin, or has ended a short while ago."""

    host: str
    started: datetime
    live: bool


@dataclass(frozen=True, slots=True)
class SiteUsage:
    """Downloads from a site: how many run, and when the last one began."""

    running: int
    last: datetime
