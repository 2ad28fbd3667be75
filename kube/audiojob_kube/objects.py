"""The plain shapes that calls answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Object: TypeAlias = dict[str, Any]
"""One Kubernetes object as the API server's JSON."""

Key: TypeAlias = tuple[str, str]
"""(namespace, or "" for a cluster-scoped object; name)"""

EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class ObjectList:
    """All items, or one page of them, as of `resource_version`."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change. A BOOKMARK's object carries only `metadata.resourceVersion`."""

    type: EventType
    object: Object


def key_of(obj: Object) -> Key:
    """(namespace or "", name) of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def resource_version_of(obj: Object) -> int:
    """The object's resourceVersion as a number.

    Versions of one resource type can be compared as integers (promised by Kubernetes since 1.35, true of
    every etcd-backed server before).
    """
    return int(obj["metadata"]["resourceVersion"])
