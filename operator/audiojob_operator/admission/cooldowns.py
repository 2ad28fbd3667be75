"""Cool-downs: which hosts refuse requests, by the word of how many AudioJobs, and for whom that holds.

One AudioJob's word makes only that job wait. Whoever can make a host answer 429, or can take over a pod, must not stop
the downloads of others with it: several jobs hold the host for their own namespace, and only several namespaces hold
it for all. The word of a job that is cancelled, deleted or done counts no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import CoolDownRules

_NONE: Final[Mapping[Key, datetime]] = MappingProxyType({})


class CoolDowns:
    """The refusals that unfinished AudioJobs report, by host. ``eased``: hosts that may be asked sooner than before."""

    def __init__(self, rules: CoolDownRules) -> None:
        self._rules = rules
        self._by_host: defaultdict[str, dict[Key, datetime]] = defaultdict(dict)
        self._by_job: dict[Key, Mapping[str, datetime]] = {}
        self.eased: set[str] = set()

    def put(self, key: Key, refusals: Mapping[str, datetime], now: datetime) -> None:
        """What a job reports now: hosts, and until when each must not be asked."""
        before = self._by_job.pop(key, {})
        for host, until in before.items():
            del self._by_host[host][key]
            if not self._by_host[host]:
                del self._by_host[host]
            if until > now and refusals.get(host, now) < until:
                self.eased.add(host)
        if refusals:
            self._by_job[key] = refusals
        for host, until in refusals.items():
            self._by_host[host][key] = until

    def until(self, host: str, namespace: str, now: datetime) -> datetime | None:
        """Until when jobs of a namespace must not ask a host; None if they may."""
        return held_until(self._by_host.get(host, _NONE), namespace, self._rules, now)


def held_until(
    refusals: Mapping[Key, datetime], namespace: str, rules: CoolDownRules, now: datetime
) -> datetime | None:
    """How long a host is held by the word of these jobs: as long as enough of them say so, not as the longest says."""
    live = {key: until for key, until in refusals.items() if until > now}
    own = _nth_latest([until for key, until in live.items() if key[0] == namespace], rules.jobs)
    latest: dict[str, datetime] = {}
    for (space, _), until in live.items():
        latest[space] = max(until, latest.get(space, until))
    spaces, jobs = _nth_latest(list(latest.values()), rules.namespaces), _nth_latest(list(live.values()), rules.jobs)
    everywhere = min(spaces, jobs) if spaces is not None and jobs is not None else None
    return max((moment for moment in (own, everywhere) if moment is not None), default=None)


def _nth_latest(moments: list[datetime], number: int) -> datetime | None:
    return sorted(moments, reverse=True)[number - 1] if len(moments) >= number else None
