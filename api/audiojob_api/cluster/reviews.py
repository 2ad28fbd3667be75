"""TokenReview and SubjectAccessReview: the API server says who calls and what they may do."""

from __future__ import annotations

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import Right
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOJOBS, SUBJECTACCESSREVIEWS, TOKENREVIEWS
from audiojob_types.constants import GROUP


class KubeAuthorizer:
    """The `Authorizer` of a cluster."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """The token's owner; None if the token is not valid for ``audience``."""
        body = {
            "apiVersion": TOKENREVIEWS.api_version,
            "kind": TOKENREVIEWS.kind,
            "spec": {"token": token, "audiences": [audience]},
        }
        status = (await self._client.create(TOKENREVIEWS, body)).get("status", {})
        # An authenticator that knows no audiences leaves them out: then nothing says that the token is for us.
        if not status.get("authenticated") or audience not in status.get("audiences", []):
            return None
        user = status.get("user", {})
        return Identity(
            username=user.get("username", ""),
            uid=user.get("uid", ""),
            groups=tuple(user.get("groups", ())),
            extra=user.get("extra", {}),
        )

    async def may(self, identity: Identity, namespace: str, right: Right) -> bool:
        """Whether ``identity`` has this right in the namespace."""
        named = {} if right.name is None else {"name": right.name}
        body = {
            "apiVersion": SUBJECTACCESSREVIEWS.api_version,
            "kind": SUBJECTACCESSREVIEWS.kind,
            "spec": {
                "user": identity.username,
                "uid": identity.uid,
                "groups": list(identity.groups),
                "extra": identity.extra,
                "resourceAttributes": {
                    "group": GROUP,
                    "resource": AUDIOJOBS.plural,
                    "namespace": namespace,
                    "verb": right.verb,
                    **named,
                },
            },
        }
        status = (await self._client.create(SUBJECTACCESSREVIEWS, body)).get("status", {})
        return bool(status.get("allowed"))
