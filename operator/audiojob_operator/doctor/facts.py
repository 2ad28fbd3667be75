"""What the doctor looks at, as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from audiojob_kube.objects import Object
from audiojob_operator.watching.preflight import Access


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that could not be read, and why."""

    why: str


Seen: TypeAlias = Object | Unseen | None
"""An object; None where there is none."""
SeenList: TypeAlias = tuple[Object, ...] | Unseen | None
"""Objects; None where the API server does not serve their type."""


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """How the API server answered. ``date``: its own clock, whole seconds; ``asked``, ``answered``: ours."""

    version: str
    date: datetime | None
    asked: datetime
    answered: datetime


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether an account may do something. ``account`` is the name by which people know it."""

    account: str
    access: Access
    allowed: bool | Unseen


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """A job namespace. ``claims`` are those that the settings say its pods mount, by name."""

    name: str
    namespace: Seen
    account: Seen
    claims: Mapping[str, Seen]
    models: Seen
    pods: SeenList


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What the readiness probe of audiojob's API answered. ``status`` 0: no answer, ``text`` says why."""

    url: str
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything looked at. ``api`` is None where no address was given."""

    server: ServerAnswer | Unseen
    crds: Mapping[str, Seen]
    lease: Seen
    permissions: tuple[Permission, ...]
    namespaces: tuple[NamespaceFacts, ...]
    nodes: SeenList
    monitors: SeenList
    api: ApiAnswer | None = None
