"""What there is to give: slots, GPUs by kind, and the rules of queues and sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from audiojob_operator.admission.gpus.sharing import Claim
from audiojob_operator.records.admission import SITE_GPUS, GpuRequest, QueueKey, is_of_workers
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteRules
from audiojob_types.constants import GPU_RESOURCE
from audiojob_types.ordering import DEFAULT_AGEING_SECONDS
from audiojob_types.resources.queue import AudioQueueSpec

_UNLIMITED: Final = AudioQueueSpec()
_NO_SITES: Final = SiteRules()


class GpuOffer(NamedTuple):
    """GPUs of one kind: in all, and the most on one node."""

    total: int
    per_node: int


class Growth(NamedTuple):
    """GPUs of the site that an autoscaler can add: up to ``total`` with those that are there.

    It sees what to add by pods that wait for a node: there are at most ``waiting`` of them, the rest of the backlog
    stays with the AudioJobs. Thousands of pods would slow the scheduler, and make an autoscaler give up halfway.
    """

    total: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is to give.

    ``max_running`` None is no limit. ``gpus`` are those of the site, of ``gpu_resource``; ``other_gpus`` what Ready
    nodes offer of others, by resource. ``gpus_strict``: ``gpus`` is the administrator's number; else it is what nodes
    offer, and a phase that must have a GPU may ask for a first one, so that a cluster autoscaler sees it wait.
    ``gpus_per_node`` is the most that one node offers, or would: a phase that may use the CPU waits for no more than
    that. ``queues`` are those that exist. ``growth``: None where no autoscaler adds GPUs.
    """

    max_running: int | None = None
    gpus: int = 0
    gpus_strict: bool = False
    gpus_per_node: int = 0
    queues: Mapping[QueueKey, AudioQueueSpec] = field(default_factory=dict)
    ageing_seconds: int = DEFAULT_AGEING_SECONDS
    site_rules: SiteRules = _NO_SITES
    gpu_resource: str = GPU_RESOURCE
    other_gpus: Mapping[str, GpuOffer] = field(default_factory=dict)
    growth: Growth | None = None
    workers_have: bool = False  # GPUs of the site, which are not in `gpus`
    claims: Mapping[Key, Claim] = field(default_factory=dict)  # of pools that lack workers, by pool

    def queue(self, key: QueueKey) -> AudioQueueSpec:
        """A queue's limits; a missing one has none."""
        return self.queues.get(key, _UNLIMITED)

    def managed(self, key: QueueKey) -> bool:
        """Whether Kueue counts the GPUs of the queue's jobs."""
        return self.queue(key).kueue_local_queue is not None

    def pool(self, resource: str | None) -> str:
        """The kind of GPU that a phase asks for."""
        return SITE_GPUS if resource is None or resource == self.gpu_resource else resource

    def offer(self, pool: str) -> GpuOffer:
        """GPUs of that kind: what there is, or what an autoscaler can make of it."""
        if is_of_workers(pool):
            return _AS_MANY_AS_THERE_ARE
        if pool != SITE_GPUS:
            return self.other_gpus.get(pool, _NO_GPUS)
        return GpuOffer(max(self.gpus, self.growth.total if self.growth else 0), self.gpus_per_node)

    def there(self, pool: str) -> int:
        """GPUs of that kind which Ready nodes offer, or the administrator's number of them."""
        return self.gpus if pool == SITE_GPUS else self.offer(pool).total

    @property
    def offered(self) -> dict[str, int]:
        """The most GPUs that one node offers, or would, by resource."""
        found = {
            self.gpu_resource: self.gpus_per_node,
            **{name: each.per_node for name, each in self.other_gpus.items()},
        }
        return {name: most for name, most in found.items() if most}

    def is_asked_for(self, request: GpuRequest, queue: QueueKey) -> bool:
        """Whether the phase would take GPUs at all: with device Auto it takes the CPU where no node offers as many.

        Those of workers are there or not: they are asked for only where the queue limits them, and has as many.
        """
        if is_of_workers(request.resource):
            most = self.queue(queue).max_gpus
            return not self.managed(queue) and most is not None and request.gpus <= most
        return request.must or self.managed(queue) or request.gpus <= self.offer(self.pool(request.resource)).per_node

    def may_be_first(self, request: GpuRequest) -> bool:
        """Whether the phase may ask for GPUs though none are there: a pod that waits makes an autoscaler add a node.

        Where nodes offer GPUs under another name, the name is more likely wrong.
        """
        if self.pool(request.resource) == SITE_GPUS and (self.gpus_strict or self.growth is not None):
            return False
        return request.must and not self.gpus and not self.other_gpus and not self.workers_have


_NO_GPUS: Final = GpuOffer(0, 0)
_AS_MANY_AS_THERE_ARE: Final = GpuOffer(2**31, 2**31)


class GpuUse(NamedTuple):
    """GPUs in use and in all, where the limit is that binds: in the queue, else in the cluster."""

    used: int
    total: int


def gpu_use(limits: Limits, queue: QueueKey, in_queue: int, pool: str, in_pool: int) -> GpuUse:
    """The numbers that say why a phase gets no GPU."""
    most, total = limits.queue(queue).max_gpus, limits.offer(pool).total
    if most is not None and most - in_queue <= total - in_pool:
        return GpuUse(in_queue, most)
    return GpuUse(in_pool, total)
