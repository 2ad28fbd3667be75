"""The parts of Kubernetes' object metadata that we read."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from audiojob_types.base import StatusModel


class OwnerReference(StatusModel):
    """The part of metav1.OwnerReference that we read."""

    uid: str
    kind: str = ""
    name: str = ""
    controller: bool = False


class Metadata(StatusModel):
    """The part of metav1.ObjectMeta that we read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
