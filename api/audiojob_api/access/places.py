"""Which namespace a request is about: the one it names, or the only one that it can mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_api.access.authorizer import Identity
from audiojob_api.problems import Problem, repeated

_MOST_CHARACTERS: Final = 63
NAME_PATTERN: Final = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_NAME: Final = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Places:
    """The namespaces that are served. ``default`` is meant where a caller with a Kubernetes token names none."""

    served: Collection[str]
    default: str

    def wanted(self, identity: Identity, named: Sequence[str]) -> str:
        """The namespace that the request is about, as yet unseen whether it is served. ``named`` is what it says.

        Raises a 400 :class:`Problem` for two names, or for none where the caller has several; 404 for another's.
        """
        if len(named) > 1:
            raise repeated("namespace")
        if named and not _NAME.fullmatch(named[0]):
            raise no_such_namespace(named[0])
        if identity.grants is None:
            return named[0] if named else self.default
        if not identity.grants:
            detail = "Your account belongs to no tenant of this API; ask an administrator to add you to one."
            raise Problem(403, "no-tenant", detail)
        own = sorted({grant.namespace for grant in identity.grants})
        if not named and len(own) != 1:
            detail = f"namespace: you have several; add ?namespace= with one of {', '.join(own)}"
            raise Problem(400, "namespace-needed", detail)
        name = named[0] if named else own[0]
        if name not in own:
            raise no_such_namespace(name)
        return name

    def require_served(self, namespace: str) -> None:
        """Raise a 404 :class:`Problem` for a namespace that is not served. Ask for the caller's rights before."""
        if namespace not in self.served:
            raise no_such_namespace(namespace)


def no_such_namespace(name: str) -> Problem:
    """The one answer for a namespace that is somebody else's, is not served, or does not exist."""
    return Problem(404, "not-found", f"There is no namespace {name[:_MOST_CHARACTERS]!r} of yours.")
