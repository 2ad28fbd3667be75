"""The resource types that audiojob talks to, and where the API server serves them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from audiojob_types.constants import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource type; `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects: "v1", "batch/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, one object, or one object's subresource, percent-encoded.

        A namespaced type without `namespace` is the collection of all namespaces.
        Raises ValueError for a segment that no object can have ("..", "a/b"), and for an object of a
        namespaced type without its namespace.
        """
        if name is not None and self.namespaced and not namespace:
            raise ValueError(f"{self.plural} are namespaced: {name!r} needs a namespace")
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", _segment("namespace", namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(_segment("name", name))
            if subresource is not None:
                parts.append(_segment("subresource", subresource))
        return "/".join(parts)


def _segment(what: str, value: str) -> str:
    # A name may come from a user's URL: ".." or "a/b" must never reach another resource's path.
    if value in {"", ".", ".."} or "/" in value or "%" in value:
        raise ValueError(f"{what} {value!r} cannot name a Kubernetes object")
    return quote(value, safe="")


AUDIOJOBS = Resource(GROUP, VERSION, "audiojobs", "AudioJob")
AUDIOPIPELINES = Resource(GROUP, VERSION, "audiopipelines", "AudioPipeline", namespaced=False)
AUDIOQUEUES = Resource(GROUP, VERSION, "audioqueues", "AudioQueue")
AUDIOWORKERPOOLS = Resource(GROUP, VERSION, "audioworkerpools", "AudioWorkerPool")

JOBS = Resource("batch", "v1", "jobs", "Job")
PODS = Resource("", "v1", "pods", "Pod")
EVENTS = Resource("", "v1", "events", "Event")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
CUSTOMRESOURCEDEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
PERSISTENTVOLUMECLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODMONITORS = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

TOKENREVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SUBJECTACCESSREVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELFSUBJECTACCESSREVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
