"""Carries out a plan: creates, events, one status write, deletions. In this order, for the reasons in `model.Plan`."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TransportError,
    is_failed_json_patch_test,
)
from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS, EVENTS, JOBS, PODS, Resource
from audiojob_operator.building.telling import inputs_patch, work_patch
from audiojob_operator.deciding.transitions import bounded_reason
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.errors import (
    EarlyRefusedError,
    ReconcileError,
    RefusedError,
    StaleError,
    StatusRefusedError,
    UntoldError,
)
from audiojob_operator.reconciling.events import event_object
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observed import Refusal
from audiojob_operator.records.plan import EventRecord, JobRef, Plan, Telling, TellingAgain
from audiojob_operator.records.workers import WorkTelling
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.projections import controller
from audiojob_operator.state.refusals import is_permanent
from audiojob_types.constants import ANNOTATION_WORK
from audiojob_types.resources.metadata import Metadata

_log = logging.getLogger(__name__)

T = TypeVar("T")

_GRACE_SECONDS = 30
_REMEMBERED = 20_000
_TAKEN = "a Job {name} exists that the operator has not made for this AudioJob; delete it"


class Applier:
    """Writes to the API server, and what it answers into the caches, so that a lagging watch repeats nothing."""

    def __init__(self, client: KubeClient, caches: Caches, metrics: Metrics, identity: str) -> None:
        self._client = client
        self._caches = caches
        self._metrics = metrics
        self._identity = identity
        self._unanswered: set[Key] = set()  # AudioJobs whose last status write nobody knows the end of
        self._perhaps_made: dict[Key, dict[str, str]] = {}  # Jobs that may be there, by name: the AudioJob's uid
        self._recorded: OrderedDict[str, None] = OrderedDict()  # names of the newest events, so that none is sent twice
        self._not_again: OrderedDict[str, None] = OrderedDict()  # uids of pods that may not be told again

    async def apply(self, plan: Plan, job: Metadata) -> None:
        """Do all of the plan, or raise: StaleError, RefusedError, StatusRefusedError, or what the client raised."""
        self._unanswered.discard((job.namespace, job.name))
        if plan.create_revision is not None:
            await self._create_revision(plan.create_revision, job)
        for body in plan.create_jobs:
            await self._create_job(body, job)
        if plan.create_early is not None:
            await self._create_early(plan.create_early, job)
        for record in plan.events:
            await self.tell(record, job)
        if plan.status is not None:
            await self._write_status(list(plan.status), job)
        for telling in plan.tell:
            await self._tell_inputs(telling, job)
        for work in plan.tell_workers:
            await self._tell_worker(work, job.namespace)
        for ref in plan.delete_jobs:
            await self.delete_job(ref, job.namespace)
        if plan.delete_self:
            await self._delete_self(job)

    def is_unanswered(self, key: Key) -> bool:
        """Whether the status that was last to be written may have been, or not: nobody has answered that."""
        return key in self._unanswered

    def may_have_made(self, key: Key) -> bool:
        """Whether a Job of it may be there whose creation nobody has answered: with all that it holds."""
        return key in self._perhaps_made

    async def settle(self, key: Key) -> bool:
        """Find out whether such Jobs are there. Returns whether there was anything to find out. Raises what the client
        raised: then nobody knows yet.
        """
        if key not in self._perhaps_made:
            return False
        for name, uid in self._perhaps_made[key].items():
            with suppress(NotFound):
                found = await self._client.get(JOBS, name, key[0])
                if controller(found).get("uid") == uid and (cache := self._caches.namespaces.get(key[0])) is not None:
                    cache.jobs.put(found)
        del self._perhaps_made[key]
        return True

    async def delete_job(self, ref: JobRef, namespace: str) -> None:
        """Ask for the end of a Job and its pod. One that is gone, or another of that name, is none of our business."""
        cache = self._caches.namespaces.get(namespace)
        try:
            await self._measured(
                "delete",
                JOBS,
                lambda: self._client.delete(JOBS, ref.name, namespace, uid=ref.uid, grace_seconds=_GRACE_SECONDS),
            )
        except NotFound:
            if cache is not None:
                cache.jobs.forget((namespace, ref.name), ref.uid)
        except Conflict:
            _log.info("Job %s/%s is not the one with uid %s any more", namespace, ref.name, ref.uid)

    async def _create_revision(self, body: Object, job: Metadata) -> None:
        try:
            created = await self._measured(
                "create", CONTROLLERREVISIONS, lambda: self._client.create(CONTROLLERREVISIONS, body, job.namespace)
            )
        except AlreadyExists:
            return  # its name is a hash of its content
        except ApiError as error:
            if _is_temporary(error):
                raise
            permanent = not isinstance(error, Forbidden)
            raise RefusedError(Refusal(error.message, permanent, of_revision=True)) from error
        if (cache := self._caches.namespaces.get(job.namespace)) is not None:
            cache.revisions.put(created)

    async def _create_job(self, body: Object, job: Metadata) -> None:
        name = body["metadata"]["name"]
        try:
            created = await self._measured("create", JOBS, lambda: self._client.create(JOBS, body, job.namespace))
        except AlreadyExists as error:
            created = await self._client.get(JOBS, name, job.namespace)
            if controller(created).get("uid") != job.uid:
                raise RefusedError(Refusal(_TAKEN.format(name=name), permanent=True)) from error
        except (ApiError, TransportError) as error:
            if isinstance(error, ApiError) and not _is_temporary(error):
                raise RefusedError(Refusal(error.message, permanent=not isinstance(error, Forbidden))) from error
            if _may_have_come(error):
                self._perhaps_made.setdefault((job.namespace, job.name), {})[name] = job.uid
            raise
        if (cache := self._caches.namespaces.get(job.namespace)) is not None:
            cache.jobs.put(created)

    async def _create_early(self, body: Object, job: Metadata) -> None:
        """Nobody is told that it was refused: it is tried again when its turn has come."""
        try:
            await self._create_job(body, job)
        except RefusedError as error:
            raise EarlyRefusedError(str(error), for_good=False) from error

    async def _tell_inputs(self, telling: Telling | TellingAgain, job: Metadata) -> None:
        """Tell a pod its inputs, once. What it is by now is looked at where the patch does not fit it."""
        cache = self._caches.namespaces.get(job.namespace)
        assert cache is not None, "pods are seen in prepared namespaces alone"
        if isinstance(telling, TellingAgain) and telling.uid in self._not_again:
            return
        pod = (job.namespace, telling.pod)
        operations = inputs_patch(telling)
        try:
            told = await self._measured(
                "patch", PODS, lambda: self._client.patch_json(PODS, telling.pod, operations, job.namespace)
            )
        except NotFound:
            cache.pods.forget(pod, telling.uid)
        except Forbidden as error:
            if isinstance(telling, TellingAgain):  # the policy of an earlier release; the kubelet looks again by itself
                _remember(self._not_again, telling.uid)
                return
            raise EarlyRefusedError(error.message, for_good=True) from error
        except Invalid as error:
            if not is_failed_json_patch_test(error):
                raise
            with suppress(NotFound):
                cache.pods.put(await self._client.get(PODS, telling.pod, job.namespace))
        else:
            cache.pods.put(told)

    async def _tell_worker(self, telling: WorkTelling, namespace: str) -> None:
        """Tell a worker its phase. Raises UntoldError where its pod is another one now, or has another order."""
        cache = self._caches.namespaces.get(namespace)
        assert cache is not None, "pods are seen in prepared namespaces alone"
        pod = cache.pods.get((namespace, telling.pod))
        try:
            if pod is None:
                pod = await self._client.get(PODS, telling.pod, namespace)
            order = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_WORK, "")
            bound = [each.identity for each in self._caches.workers.bound(telling.pod_uid)]
            operations = work_patch(telling, order, bound)
            told = await self._measured(
                "patch", PODS, lambda: self._client.patch_json(PODS, telling.pod, operations, namespace)
            )
        except NotFound as error:
            cache.pods.forget((namespace, telling.pod), telling.pod_uid)
            raise UntoldError(f"worker {telling.pod} is gone") from error
        except (Invalid, ValueError) as error:
            if isinstance(error, Invalid) and not is_failed_json_patch_test(error):
                raise
            with suppress(NotFound):
                cache.pods.put(await self._client.get(PODS, telling.pod, namespace))
            raise UntoldError(f"worker {telling.pod} is not as it was: {error}") from error
        cache.pods.put(told)

    async def tell(self, record: EventRecord, job: Metadata) -> None:
        """Write an event, once."""
        if job.namespace not in self._caches.namespaces:
            return  # no rights there; the status says it
        if record.name in self._recorded:
            return  # a decision that finds the same facts makes the same event
        body = event_object(record, job, self._identity, datetime.now(UTC))
        try:
            await self._measured("create", EVENTS, lambda: self._client.create(EVENTS, body, job.namespace))
            self._metrics.events.labels(bounded_reason(record.reason)).inc()
            _remember(self._recorded, record.name)
        except AlreadyExists:
            _remember(self._recorded, record.name)  # recorded before a crash
        except (ApiError, TransportError) as error:
            # An event is for people to read; work does not wait for it.
            _log.warning("%s/%s: event %s was not recorded: %s", job.namespace, job.name, record.reason, error)

    async def _write_status(self, operations: list[Object], job: Metadata) -> None:
        key = (job.namespace, job.name)
        self._unanswered.add(key)
        try:
            await self._patch_status(operations, job)
        except ApiError as error:
            if not _may_have_come(error):
                self._unanswered.discard(key)
            raise
        except ReconcileError:
            self._unanswered.discard(key)
            raise
        self._unanswered.discard(key)

    async def _patch_status(self, operations: list[Object], job: Metadata) -> None:
        try:
            written = await self._measured(
                "patch",
                AUDIOJOBS,
                lambda: self._client.patch_json(AUDIOJOBS, job.name, operations, job.namespace, subresource="status"),
            )
        except NotFound as error:
            raise StaleError("the AudioJob is gone") from error
        except Conflict as error:
            raise StaleError(error.message) from error
        except ApiError as error:
            if isinstance(error, Invalid):
                if is_failed_json_patch_test(error):
                    raise StaleError(error.message) from error
                self._metrics.bugs.labels(AUDIOJOBS.plural).inc()
            if is_permanent(error):
                raise StatusRefusedError(str(error)) from error
            raise
        self._caches.refusals.forget((job.namespace, job.name))
        self._caches.audiojobs.put(written, ours=True)

    async def _delete_self(self, job: Metadata) -> None:
        with suppress(NotFound, Conflict):  # somebody else was faster
            await self._measured(
                "delete", AUDIOJOBS, lambda: self._client.delete(AUDIOJOBS, job.name, job.namespace, uid=job.uid)
            )
        self._caches.audiojobs.gone((job.namespace, job.name), job.uid)

    async def _measured(self, verb: str, resource: Resource, call: Callable[[], Awaitable[T]]) -> T:
        result = "ok"
        try:
            return await call()
        except ApiError as error:
            result = str(error.status)
            raise
        except TransportError:
            result = "transport"
            raise
        finally:
            self._metrics.writes.labels(verb, resource.plural, result).inc()


def _remember(memory: OrderedDict[str, None], name: str) -> None:
    memory[name] = None
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _may_have_come(error: ApiError | TransportError) -> bool:
    """Whether the write may have been made in spite of the error."""
    return isinstance(error, TransportError) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _is_temporary(error: ApiError) -> bool:
    """Whether the same object may be taken by the next try, and there is nothing in it to tell people."""
    return not (isinstance(error, Forbidden) or is_permanent(error))
