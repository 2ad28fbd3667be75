"""What the roles of tenants allow. Those who come with a Kubernetes token have RBAC instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from audiojob_api.access.authorizer import Grant, Identity, Role, Scope
from audiojob_api.access.rights import Right
from audiojob_api.problems import Problem


class Reach(StrEnum):
    """Whose jobs a right is about."""

    OWN = "own"
    ALL = "all"


_READ: Final = {"get": Reach.ALL, "list": Reach.ALL}
_SUBMIT: Final = {**_READ, "create": Reach.ALL, "update": Reach.OWN}
_OPERATE: Final = {**_SUBMIT, "update": Reach.ALL}
# By role: verbs on the namespace's AudioJobs, as `rights.VERBS` names them. docs/accounts.md shows this table.
ROLES: Final[Mapping[Role, Mapping[str, Reach]]] = {
    Role.VIEWER: _READ,
    Role.SUBMITTER: _SUBMIT,
    Role.OPERATOR: _OPERATE,
    Role.ADMIN: _OPERATE,
}


SCOPES: Final[Mapping[Scope, frozenset[str]]] = {
    Scope.READ: frozenset({"get", "list"}),
    Scope.CREATE: frozenset({"create"}),
    Scope.CHANGE: frozenset({"update"}),
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """That a caller has rights; ``own`` where only for jobs of the caller's own."""

    own: bool


def grant_in(identity: Identity, namespace: str) -> Grant | None:
    """What the caller has in the namespace; None for nothing, and for callers with Kubernetes tokens."""
    return next((grant for grant in identity.grants or () if grant.namespace == namespace), None)


def require_scopes(identity: Identity, rights: Sequence[Right]) -> None:
    """Raise a 403 :class:`Problem` for a right that the caller's key is not for."""
    if identity.scopes is None:
        return
    verbs = {verb for scope in identity.scopes for verb in SCOPES[scope]}
    for right in rights:
        if right.verb not in verbs:
            scopes = " ".join(sorted(identity.scopes))
            detail = f"Your API key is for {scopes} and may not {right}; make one with another scope."
            raise Problem(403, "forbidden", detail)


def require_role(identity: Identity, namespace: str, rights: Sequence[Right]) -> Allowed:
    """Raise a 403 :class:`Problem` unless the caller's role has all of them."""
    grant = grant_in(identity, namespace)
    own = False
    for right in rights:
        reach = ROLES[grant.role].get(right.verb) if grant else None
        if grant is None or reach is None:
            role = f"Your role here, {grant.role}," if grant else "Your account"
            raise Problem(403, "forbidden", f"{role} may not {right}; ask an administrator for one that may.")
        own = own or reach is Reach.OWN
    return Allowed(own)
