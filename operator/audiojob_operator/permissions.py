"""What the operator's service account must be allowed to do. The chart's roles are tested against this list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_types.constants import GROUP


@dataclass(frozen=True, slots=True)
class Permission:
    """Verbs on one resource type ("type/subresource" as RBAC writes it); group "" is the core group."""

    group: str
    resource: str
    verbs: tuple[str, ...]


CLUSTER: Final = (
    Permission(GROUP, "audiojobs", ("delete", "get", "list", "watch")),
    Permission(GROUP, "audiojobs/status", ("patch",)),
    Permission(GROUP, "audiopipelines", ("list", "watch")),
    Permission("", "nodes", ("list", "watch")),
)
"""In a ClusterRole: AudioJobs are watched in all namespaces, so that one in an unprepared namespace is told so."""

JOB_NAMESPACE: Final = (
    Permission("batch", "jobs", ("create", "delete", "get", "list", "watch")),
    Permission("", "pods", ("list", "watch")),
    Permission("", "events", ("create",)),
    Permission("apps", "controllerrevisions", ("create", "delete", "get", "list", "patch", "watch")),
)
"""In a Role in each job namespace."""

LEASE_NAMESPACE: Final = (Permission("coordination.k8s.io", "leases", ("create", "get", "patch")),)
"""In a Role in the namespace of the Lease."""
