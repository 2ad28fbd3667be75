"""The key of tickets: made once, kept in a Secret of the API's own namespace, its public half in a ConfigMap of each
namespace that is served. The chart makes both, empty, so that no right to create any is needed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audiojob_api.files.tickets import Signer, with_key
from audiojob_kube.errors import ApiError, Conflict, TransportError
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import CONFIGMAPS, SECRETS, Resource
from audiojob_types.outside.redaction import SECRETS as KNOWN_SECRETS

_log = logging.getLogger(__name__)

_SEED: Final = "seed"
_SEED_BYTES: Final = 32
_KEYS: Final = "keys.json"
AGAIN_SECONDS: Final = 60.0
SOON_SECONDS: Final = 2.0

Object = dict[str, Any]


@dataclass(slots=True)
class TicketKey:
    """Where the key and its public half lie."""

    client: KubeClient
    home: str
    secret: str
    configmap: str
    namespaces: Sequence[str]
    signer: Signer | None = field(default=None, init=False)

    async def run(self) -> None:
        """Look again each minute: another replica may have made the key, and somebody may have removed one of them."""
        while True:
            try:
                self.signer = await self._own()
                told = [await self._tell(namespace, self.signer) for namespace in self.namespaces]
                wait = AGAIN_SECONDS if all(told) else SOON_SECONDS
            except (ApiError, TransportError) as error:
                _log.warning("The key of the files service is not where it belongs yet: %s", error)
                wait = SOON_SECONDS
            await asyncio.sleep(wait)

    async def _own(self) -> Signer:
        """The key, made where there is none. Of two replicas that make one, the second takes the first's."""
        while True:
            stored = await self.client.get(SECRETS, self.secret, self.home)
            seed = _decoded((stored.get("data") or {}).get(_SEED))
            if seed is None:
                made = secrets.token_bytes(_SEED_BYTES)
                try:
                    await self._write(SECRETS, stored, {_SEED: base64.b64encode(made).decode()})
                except Conflict:
                    continue
                seed = made
            KNOWN_SECRETS.learn(base64.b64encode(seed).decode())
            return Signer(seed)

    async def _tell(self, namespace: str, signer: Signer) -> bool:
        """Whether the namespace's ConfigMap has the public key now."""
        try:
            stored = await self.client.get(CONFIGMAPS, self.configmap, namespace)
            listed = with_key((stored.get("data") or {}).get(_KEYS), signer.public)
            if listed is not None:
                await self._write(CONFIGMAPS, stored, {_KEYS: listed})
        except (ApiError, TransportError) as error:
            _log.warning("%s: the files service does not know the key of tickets yet: %s", namespace, error)
            return False
        return True

    async def _write(self, resource: Resource, stored: Object, data: Object) -> None:
        """Raises Conflict where somebody else wrote meanwhile."""
        metadata = stored["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": data}
        await self.client.patch_merge(resource, metadata["name"], body, metadata["namespace"])


def _decoded(value: object) -> bytes | None:
    """A seed that can be used; anything else is replaced."""
    if not isinstance(value, str):
        return None
    try:
        seed = base64.b64decode(value, validate=True)
    except binascii.Error:
        return None
    return seed if len(seed) == _SEED_BYTES else None
