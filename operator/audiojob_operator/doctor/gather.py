"""Reads what the doctor looks at. What an account may not read is left out and said, never a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_kube.config import Connection
from audiojob_kube.errors import ApiError, NotFound, TransportError
from audiojob_kube.objects import Object
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import (
    AUDIOJOBS,
    CONFIGMAPS,
    CUSTOMRESOURCEDEFINITIONS,
    LEASES,
    NAMESPACES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PODMONITORS,
    PODS,
    SERVICEACCOUNTS,
    SUBJECTACCESSREVIEWS,
    Resource,
)
from audiojob_operator.doctor.facts import (
    Facts,
    NamespaceFacts,
    Permission,
    Seen,
    SeenList,
    Unseen,
)
from audiojob_operator.doctor.probes import ask_api, ask_server
from audiojob_operator.doctor.schema import MODELS
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.watching.preflight import Access, required
from audiojob_types.constants import MODELS_CLAIM, MODELS_CONFIGMAP, RUNNER_SERVICE_ACCOUNT, STORE_CLAIM
from audiojob_types.contract import FolderStore

OPERATOR: Final = "operator"
RUNNER: Final = "runner"

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Doctor:
    """Reads the facts. ``operator_account``: as the API server names it, ``system:serviceaccount:NAMESPACE:NAME``."""

    client: KubeClient
    connection: Connection
    settings: OperatorSettings
    operator_account: str
    api_url: str = ""

    async def look(self) -> Facts:
        """Everything, once."""
        lease = self.settings.lease
        names = tuple(MODELS)
        crds = await asyncio.gather(*(_seen(self.client.get(CUSTOMRESOURCEDEFINITIONS, name)) for name in names))
        return Facts(
            server=await ask_server(self.connection),
            crds=dict(zip(names, crds, strict=True)),
            lease=await _seen(self.client.get(LEASES, lease.name, lease.namespace)),
            permissions=await self._permissions(),
            namespaces=tuple([await self._namespace(name) for name in self.settings.job_namespaces]),
            nodes=await self._list(NODES),
            monitors=await self._list(PODMONITORS, lease.namespace),
            api=await ask_api(self.api_url) if self.api_url else None,
        )

    async def _namespace(self, name: str) -> NamespaceFacts:
        get = self.client.get
        claims = claims_of(self.settings, name)
        seen = await asyncio.gather(*(_seen(get(PERSISTENTVOLUMECLAIMS, claim, name)) for claim in claims))
        return NamespaceFacts(
            name=name,
            namespace=await _seen(get(NAMESPACES, name)),
            account=await _seen(get(SERVICEACCOUNTS, RUNNER_SERVICE_ACCOUNT, name)),
            claims=dict(zip(claims, seen, strict=True)),
            models=await _seen(get(CONFIGMAPS, MODELS_CONFIGMAP, name)),
            pods=await self._list(PODS, name),
        )

    async def _list(self, resource: Resource, namespace: str | None = None) -> SeenList:
        try:
            return tuple((await self.client.list(resource, namespace)).items)
        except NotFound:
            return None
        except (ApiError, TransportError) as error:
            return Unseen(str(error))

    async def _permissions(self) -> tuple[Permission, ...]:
        asked = [(OPERATOR, self.operator_account, access) for access in required(self.settings)]
        for namespace in self.settings.job_namespaces:
            account = f"system:serviceaccount:{namespace}:{RUNNER_SERVICE_ACCOUNT}"
            asked.append((RUNNER, account, Access("patch", AUDIOJOBS, "status", namespace)))
        slots = asyncio.Semaphore(_AT_ONCE)

        async def review(part: str, account: str, access: Access) -> Permission:
            async with slots:
                return Permission(part, access, await self._allowed(account, access))

        return tuple(await asyncio.gather(*(review(*each) for each in asked)))

    async def _allowed(self, account: str, access: Access) -> bool | Unseen:
        body = subject_review(account, access)
        try:
            answer = await self.client.create(SUBJECTACCESSREVIEWS, body)
        except (ApiError, TransportError) as error:
            return Unseen(str(error))
        return bool((answer.get("status") or {}).get("allowed"))


def claims_of(settings: OperatorSettings, namespace: str) -> Sequence[str]:
    """The claims that pods in the namespace mount."""
    claims = [STORE_CLAIM] if isinstance(settings.store, FolderStore) else []
    claims += [MODELS_CLAIM] if settings.models_claim else []
    for library in settings.libraries:
        if library.claim_name and (not library.namespaces or namespace in library.namespaces):
            claims.append(library.claim_name)
    return tuple(dict.fromkeys(claims))


def subject_review(account: str, access: Access) -> Object:
    """The SubjectAccessReview that asks whether a service account may do something."""
    _, _, namespace, _ = account.split(":")
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {
        "apiVersion": SUBJECTACCESSREVIEWS.api_version,
        "kind": SUBJECTACCESSREVIEWS.kind,
        "spec": {"user": account, "groups": groups, **access.review()["spec"]},
    }


async def _seen(call: Awaitable[Object]) -> Seen:
    try:
        return await call
    except NotFound:
        return None
    except (ApiError, TransportError) as error:
        return Unseen(str(error))
