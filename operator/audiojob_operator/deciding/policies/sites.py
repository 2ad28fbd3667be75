"""How much may be asked of a site at once, given the downloads that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from audiojob_operator.deciding.policies.blocker import Facts, blocker
from audiojob_operator.deciding.policies.ready import ready_phases
from audiojob_operator.deciding.reuse.urls import site_of
from audiojob_operator.records.admission import FetchRequest, SiteAnswer
from audiojob_operator.records.sites import SiteLimit, SiteRules, SiteUsage
from audiojob_types.base import format_time
from audiojob_types.resources.job import AudioJobSpec, PhaseState
from audiojob_types.resources.pipeline import AudioPipelineSpec


def site_host(spec: AudioJobSpec) -> str | None:
    """The host that a job's source is fetched from; None if it fetches nothing."""
    url = spec.source.url if spec.source else None
    return site_of(url) if url else None


def limit_for(rules: SiteRules, host: str | None) -> SiteLimit | None:
    """The limit that holds for a host: the most exact of those that name it or a domain above it; None if none does."""
    if host is None:
        return None
    named = [limit for limit in rules.limits if host == limit.host or host.endswith(f".{limit.host}")]
    if named:
        return max(named, key=lambda limit: len(limit.host))
    return SiteLimit(host, rules.max_per_host) if rules.max_per_host is not None else None


def fetch_request(pipeline: AudioPipelineSpec, facts: Facts, now: datetime) -> FetchRequest | None:
    """What a job would ask of its site now; None if it would not."""
    host = site_host(facts.spec)
    if host is None:
        return None
    blockers = [(phase, blocker(phase, facts, now)) for phase in ready_phases(pipeline, facts.phases)]
    ready = [(phase, found) for phase, found in blockers if found is None or found.needs_slot]
    fetching = [found for phase, found in ready if phase.task.descriptor.fetches]
    if not fetching:
        return None
    later = [found.until for found in fetching if found is not None and found.until is not None]
    running = any(record.state is PhaseState.RUNNING for record in facts.phases.values())
    return FetchRequest(
        host=host,
        only=len(fetching) == len(ready) and not running,
        not_before=min(later) if len(later) == len(fetching) else None,
    )


class SiteLoad:
    """The downloads of one scheduling cycle by site. They only grow, and nothing of them outlives the cycle."""

    def __init__(self, rules: SiteRules, usage: Mapping[str, SiteUsage], now: datetime) -> None:
        self._rules = rules
        self._now = now
        self._running = Counter({site: each.running for site, each in usage.items()})
        self._last = {site: each.last for site, each in usage.items()}

    def answer(self, wanted: FetchRequest) -> SiteAnswer | None:
        """Whether one more download may begin; None where there is no limit."""
        limit = limit_for(self._rules, wanted.host)
        if limit is None:
            return None
        if wanted.not_before is not None and self._now < wanted.not_before:
            return SiteAnswer(False, f"{limit.host}: the retry waits until its backoff has ended.", wanted.not_before)
        running = self._running[limit.host]
        if limit.max_running is not None and running >= limit.max_running:
            return SiteAnswer(False, f"{limit.host}: {running} of {limit.max_running} downloads are running.")
        last = self._last.get(limit.host)
        free = last + timedelta(seconds=limit.pause_seconds) if last is not None else self._now
        if self._now < free:
            return SiteAnswer(False, f"{limit.host}: the next download may begin at {format_time(free)}.", free)
        return SiteAnswer(True)

    def take(self, wanted: FetchRequest) -> None:
        """A download begins."""
        if (limit := limit_for(self._rules, wanted.host)) is not None:
            self._running[limit.host] += 1
            self._last[limit.host] = self._now
