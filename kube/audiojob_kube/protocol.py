"""What the product needs of Kubernetes, as a Protocol that tests and fault proxies can stand in for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol, TypeAlias

from audiojob_kube.objects import Object, ObjectList, WatchEvent
from audiojob_kube.resources import Resource

Propagation: TypeAlias = Literal["Background", "Foreground", "Orphan"]

DEFAULT_PAGE_SIZE = 500
DEFAULT_WATCH_SECONDS = 300


class KubeClient(Protocol):
    """What the product needs of Kubernetes. Every call raises ApiError or TransportError."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object. Raises NotFound, also for a name that no object can have."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
    ) -> ObjectList:
        """All matching objects at one resourceVersion; None = all namespaces. Starts again when a page's
        continue token has expired."""

    def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
    ) -> AsyncIterator[ObjectList]:
        """The same list page by page, for callers that keep less than whole objects. A page has at most
        `page_size` objects, fewer where they are large. All pages carry the same resource_version. Raises
        Gone when a continue token has expired: drop the pages, start again."""

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """The created object. `namespace` defaults to the body's own. Unknown fields raise BadRequest."""

    async def patch_json(
        self,
        resource: Resource,
        name: str,
        operations: Sequence[Object],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Object:
        """JSON Patch (RFC 6902). Raises Invalid when it does not apply: `is_failed_json_patch_test`."""

    async def patch_merge(
        self,
        resource: Resource,
        name: str,
        body: Object,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Object:
        """JSON Merge Patch (RFC 7386). A `metadata.resourceVersion` in it is checked (Conflict)."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """Asks for deletion. Raises NotFound, and Conflict if the object has another `uid`."""

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout_seconds: int = DEFAULT_WATCH_SECONDS,
    ) -> AsyncIterator[WatchEvent]:
        """Changes after `resource_version`, bookmarks included, until the server ends the stream.

        Raises Gone (list again), ApiError with `in_stream` for other ERROR events, and TransportError when
        the connection breaks or stays silent. Raises ValueError without a real resource_version.
        """

    async def aclose(self) -> None:
        """Closes all connections; open watches end with TransportError."""
