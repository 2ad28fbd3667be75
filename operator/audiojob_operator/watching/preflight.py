"""What the operator may do, compared with what it must be able to do: at the start, and again and again.

`RIGHTS` is the one table. A test of the chart compares it with the Roles that the chart installs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from audiojob_kube.errors import ApiError, Forbidden, NotFound, TransportError, Unauthorized
from audiojob_kube.objects import Object
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import (
    AUDIOJOBS,
    AUDIOPIPELINES,
    AUDIOQUEUES,
    AUDIOWORKERPOOLS,
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    EVENTS,
    JOBS,
    LEASES,
    NODES,
    PODS,
    SELFSUBJECTACCESSREVIEWS,
    Resource,
)
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.watching.health import Degradation, DegradedReason
from audiojob_types.constants import GROUP, MODELS_CONFIGMAP

_log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 8  # reviews under way at the same time
_RETRY_SECONDS = 2.0
_SOON_SECONDS = 5.0  # between two checks while something is wrong


class Scope(StrEnum):
    """Where a right is needed."""

    CLUSTER = "cluster"
    JOB_NAMESPACES = "job namespaces"
    MODELS = "models"  # the one record of models in each job namespace
    LEASE = "lease"  # the namespace of the Lease; any name
    NAMED_LEASE = "named lease"  # the one Lease


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on a resource that the operator needs in a scope."""

    scope: Scope
    resource: Resource
    verbs: tuple[str, ...]
    subresource: str = ""


_READ: Final = ("get", "list", "watch")

RIGHTS: Final = (
    Right(Scope.CLUSTER, AUDIOJOBS, _READ),
    Right(Scope.CLUSTER, AUDIOJOBS, ("patch",), "status"),
    Right(Scope.CLUSTER, AUDIOPIPELINES, _READ),
    Right(Scope.CLUSTER, AUDIOPIPELINES, ("patch",), "status"),
    Right(Scope.CLUSTER, AUDIOQUEUES, _READ),
    Right(Scope.CLUSTER, AUDIOQUEUES, ("patch",), "status"),
    Right(Scope.CLUSTER, AUDIOWORKERPOOLS, _READ),
    Right(Scope.CLUSTER, AUDIOWORKERPOOLS, ("patch",), "status"),
    Right(Scope.CLUSTER, NODES, _READ),
    Right(Scope.LEASE, LEASES, ("create",)),
    Right(Scope.NAMED_LEASE, LEASES, ("get", "patch")),
    Right(Scope.JOB_NAMESPACES, AUDIOJOBS, ("delete",)),
    Right(Scope.JOB_NAMESPACES, JOBS, (*_READ, "create", "delete")),
    Right(Scope.JOB_NAMESPACES, PODS, (*_READ, "patch")),  # what they are told; a policy allows no more
    Right(Scope.JOB_NAMESPACES, CONTROLLERREVISIONS, (*_READ, "create", "delete")),
    Right(Scope.JOB_NAMESPACES, EVENTS, ("create",)),
    Right(Scope.MODELS, CONFIGMAPS, _READ),
)


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that the operator must be able to do. `namespace` "" is all of them; `name` "" is any name."""

    verb: str
    resource: Resource
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As an administrator would write it: ``create jobs.batch in namespace music``."""
        group = f".{self.resource.group}" if self.resource.group else ""
        kind = f"{self.resource.plural}{group}" + (f"/{self.subresource}" if self.subresource else "")
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {kind}{name} in {f'namespace {self.namespace}' if self.namespace else 'all namespaces'}"

    def review(self) -> Object:
        """The SelfSubjectAccessReview that asks for it."""
        attributes = {
            "verb": self.verb,
            "group": self.resource.group,
            "resource": self.resource.plural,
            "subresource": self.subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {
            "apiVersion": SELFSUBJECTACCESSREVIEWS.api_version,
            "kind": SELFSUBJECTACCESSREVIEWS.kind,
            "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
        }


class StartError(Exception):
    """The operator cannot begin its work; the message says why and what to do. A later start may succeed."""


def required(settings: OperatorSettings) -> tuple[Access, ...]:
    """Everything that an operator with these settings must be able to do."""
    lease = settings.lease
    places = {
        Scope.CLUSTER: [("", "")],
        Scope.LEASE: [(lease.namespace, "")],
        Scope.NAMED_LEASE: [(lease.namespace, lease.name)],
        Scope.JOB_NAMESPACES: [(namespace, "") for namespace in settings.job_namespaces],
        Scope.MODELS: [(namespace, MODELS_CONFIGMAP) for namespace in settings.job_namespaces],
    }
    return tuple(
        Access(verb, right.resource, right.subresource, namespace, name)
        for right in RIGHTS
        for namespace, name in places[right.scope]
        for verb in right.verbs
    )


async def missing(client: KubeClient, accesses: Sequence[Access]) -> tuple[Access, ...]:
    """Those that the API server would refuse, in their order. Raises ApiError or TransportError."""

    async def allowed(access: Access) -> bool:
        answer = await client.create(SELFSUBJECTACCESSREVIEWS, access.review())
        return bool((answer.get("status") or {}).get("allowed"))

    lacking: list[Access] = []
    for first in range(0, len(accesses), _AT_ONCE):
        some = accesses[first : first + _AT_ONCE]
        answers = await asyncio.gather(*map(allowed, some), return_exceptions=True)
        for access, answer in zip(some, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            if not answer:
                lacking.append(access)
    return tuple(lacking)


def explain(lacking: Iterable[Access], settings: OperatorSettings) -> str:
    """What is missing, and how an administrator gives it."""
    names = "; ".join(str(access) for access in lacking)
    namespaces = ",".join(settings.job_namespaces)
    return (
        f"missing permissions: {names}. Each namespace of jobNamespaces must exist, and the chart of this version "
        f"gives the rights: helm upgrade audiojob charts/audiojob -n {settings.lease.namespace} --reuse-values "
        f"--set 'jobNamespaces={{{namespaces}}}'"
    )


class Preflight:
    """The checks before the first decision, and the check of permissions while the operator works."""

    def __init__(
        self, client: KubeClient, settings: OperatorSettings, degradation: Degradation, healed: Callable[[], None]
    ) -> None:
        self._client = client
        self._settings = settings
        self._accesses = required(settings)
        self._degradation = degradation
        self._healed = healed
        self._poked = asyncio.Event()
        self._reported = False

    async def start(self) -> None:
        """Return once the API server answers, gives every right and serves our types. Raises StartError."""
        lacking = await self._patiently(self._missing)
        if lacking:
            raise StartError(explain(lacking, self._settings))
        for resource in (AUDIOJOBS, AUDIOPIPELINES, AUDIOQUEUES):
            await self._patiently(partial(self._list, resource))

    def check_soon(self) -> None:
        """Check at once: something does not work."""
        self._poked.set()

    async def run(self) -> None:
        """Check until cancelled; what is found is reported to the health probe, and its end too."""
        while True:
            try:
                async with asyncio.timeout(self._pause()):
                    await self._poked.wait()
            except TimeoutError:
                pass
            self._poked.clear()
            await self.check()

    async def check(self) -> None:
        """Compare the rights with what is needed once."""
        degradation = self._degradation
        try:
            lacking = await self._missing()
        except Unauthorized as error:
            degradation.report(
                DegradedReason.CREDENTIALS_REFUSED, "the API server does not accept our token", detail=str(error)
            )
            return
        except (ApiError, TransportError) as error:
            degradation.report(
                DegradedReason.API_SERVER_UNREACHABLE, "the API server does not answer", detail=str(error)
            )
            return
        healed = degradation.clear(DegradedReason.CREDENTIALS_REFUSED, DegradedReason.API_SERVER_UNREACHABLE)
        if lacking:
            degradation.report(DegradedReason.MISSING_PERMISSIONS, explain(lacking, self._settings))
        elif degradation.clear(DegradedReason.MISSING_PERMISSIONS) or healed:
            self._healed()

    def _pause(self) -> float:
        interval = self._settings.preflight.interval_seconds
        return min(interval, _SOON_SECONDS) if self._degradation.describe() else interval

    async def _missing(self) -> tuple[Access, ...]:
        try:
            return await missing(self._client, self._accesses)
        except Forbidden as error:
            # Every account may ask by default; where that was taken away, failing calls must tell.
            if not self._reported:
                _log.warning("the operator may not ask for its own permissions, so they are not checked: %s", error)
            self._reported = True
            return ()

    async def _list(self, resource: Resource) -> None:
        async for _page in self._client.pages(resource, page_size=1):
            break

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result, once there is one. Raises StartError for the last problem when the time is up."""
        deadline = time.monotonic() + self._settings.preflight.wait_seconds
        reported = ""
        while True:
            try:
                return await call()
            except Forbidden as error:
                raise StartError(f"the operator has no permission: {error.message}") from error
            except (ApiError, TransportError) as error:
                problem, last = _problem(error), error
            if time.monotonic() >= deadline:
                raise StartError(problem) from last
            if problem != reported:
                _log.warning("waiting: %s", problem)
            reported = problem
            await asyncio.sleep(_RETRY_SECONDS)


def _problem(error: ApiError | TransportError) -> str:
    """What keeps the operator from starting, and what to do."""
    if isinstance(error, NotFound):
        return (
            f"the API server does not serve the types of {GROUP} ({error.message}); apply the CRDs: "
            "kubectl apply --server-side --force-conflicts -f crds/"
        )
    if isinstance(error, Unauthorized):
        return f"the API server does not accept the credentials ({error.message}); check the token or the kubeconfig"
    return f"the API server cannot be reached ({error}); check its address, the network and that it runs"
