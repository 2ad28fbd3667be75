"""A local copy of one resource type that follows the API server: list, watch, and list again when in doubt.

Deletions missed while disconnected are found by comparing the new list with the copy. The reflector only
ends when its task is cancelled; how far to trust it is told by `synced` and `age`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, ItemsView
from dataclasses import dataclass
from typing import Generic, TypeVar

from audiojob_kube.backoff import DEFAULT_BACKOFF, Backoff
from audiojob_kube.errors import ApiError, TooManyRequests, TransportError
from audiojob_kube.objects import Key, Object, ObjectList, WatchEvent, key_of, resource_version_of
from audiojob_kube.protocol import DEFAULT_PAGE_SIZE, DEFAULT_WATCH_SECONDS, KubeClient
from audiojob_kube.resources import Resource
from audiojob_kube.store import OnChange, Row, Store

_log = logging.getLogger(__name__)

T = TypeVar("T")

_SERVER_ERRORS_FROM = 500
_SHORTEST_WATCH_SECONDS = 1.0
_LONGEST_ASKED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How a reflector lists, watches and retries; a watch lasts `watch_seconds` ± 20 %."""

    page_size: int = DEFAULT_PAGE_SIZE
    watch_seconds: int = DEFAULT_WATCH_SECONDS
    backoff: Backoff = DEFAULT_BACKOFF


_DEFAULT_PACE = Pace()


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects that a reflector follows: of one type, in one namespace or all, that match both selectors."""

    resource: Resource
    namespace: str | None = None
    label_selector: str | None = None
    field_selector: str | None = None


class Reflector(Generic[T]):
    """The objects of a selection, each reduced by `project` to what the caller keeps.

    `project` gets the object without `metadata.managedFields` and may keep parts of it. `on_change(key,
    old, new)` is called in the event loop for each changed value: `old` None = new object, `new` None =
    gone (deleted, or no longer selected). What either raises is logged and does not stop the reflector; an
    object that `project` fails on keeps its former value. Not thread-safe.
    """

    def __init__(
        self,
        client: KubeClient,
        selection: Selection,
        *,
        project: Callable[[Object], T],
        on_change: OnChange[T],
        clock: Callable[[], float] = time.monotonic,
        pace: Pace = _DEFAULT_PACE,
    ) -> None:
        self.resource = selection.resource
        self._selection = selection
        self.synced = asyncio.Event()
        """Set once the first complete list is in."""
        self.relists = 0
        """Complete lists so far."""
        self._client = client
        self._project = project
        self._clock = clock
        self._pace = pace
        self._on_change = on_change
        self._store: Store[T] = Store(self._changed)
        self._last_contact = clock()
        self._failures = 0
        self._listed = False

    def get(self, key: Key) -> T | None:
        """The value of (namespace or "", name)."""
        return self._store.get(key)

    def values(self) -> Collection[T]:
        """A live view: do not hold it across an await."""
        return self._store.values()

    def items(self) -> ItemsView[Key, T]:
        """A live view of keys and values: do not hold it across an await."""
        return self._store.items()

    def age(self) -> float:
        """Seconds since the server last sent an event, a bookmark or a list (at first: since construction).

        On a healthy connection it stays below the client's `watch_silence`, even where nothing changes.
        """
        return self._clock() - self._last_contact

    def put(self, obj: Object) -> None:
        """Takes over the answer of a create or patch, unless the watch has brought it or newer already."""
        key = key_of(obj)
        if (row := self._listed_row(key, obj)) is not None:
            self._store.put(key, row)

    def forget(self, key: Key, uid: str) -> None:
        """Takes over that an object is gone: it was deleted with nothing to wait for, or not found.

        Its events from before the deletion no longer bring it back. If it turns out to be still terminating
        (a finalizer, a grace period), its next event does.
        """
        self._store.forget(key, uid)

    async def run(self) -> None:
        """Follows the API server until cancelled."""
        while True:
            try:
                if not self._listed:
                    await self._list()
                await self._watch()
            except Exception as error:  # noqa: BLE001 - a reflector that ended would leave its owner blind
                await self._recover(error)

    async def _list(self) -> None:
        self._store.begin_list()
        fresh: dict[Key, Row[T]] = {}
        version = 0
        pages = self._client.pages(
            self.resource,
            self._selection.namespace,
            label_selector=self._selection.label_selector,
            field_selector=self._selection.field_selector,
            page_size=self._pace.page_size,
        )
        # Page by page: whole objects of one page at a time, not of the whole list, are in memory.
        async for page in pages:
            version = int(page.resource_version)
            for obj in page.items:
                key = key_of(obj)
                if (row := self._listed_row(key, obj)) is not None:
                    fresh[key] = row
        if version < self._store.delivered:
            _log.warning("%s: the server's state went back in time, taking it as it is", self.resource.plural)
        self._store.replace(fresh, version)
        self._listed = True
        self.relists += 1
        self._contact()
        self.synced.set()

    async def _watch(self) -> None:
        """Follows one watch to its regular end."""
        seconds = self._pace.watch_seconds
        began = self._clock()
        quiet = True
        stream = self._client.watch(
            self.resource,
            self._selection.namespace,
            resource_version=str(self._store.delivered),
            label_selector=self._selection.label_selector,
            field_selector=self._selection.field_selector,
            timeout_seconds=_spread(seconds),
        )
        try:
            async for event in stream:
                self._apply(event)
                self._contact()
                self._failures = 0
                quiet = False
        except TransportError as error:
            if not error.timed_out:
                raise
            await self._check_silence()
            return
        finally:
            await _close(stream)
        if quiet and self._clock() - began < _SHORTEST_WATCH_SECONDS:
            raise TransportError("the server ended the watch at once")
        self._failures = 0

    async def _check_silence(self) -> None:
        """Asks the server where it is, after a watch on which nothing came in time.

        That may be a dead connection, but also a type of which nothing has changed since the server
        started (only after a first change does it send bookmarks), or a database put back to an earlier
        state (a watch from a version still to come is kept open in silence).
        """
        # With the field selector: a right to one name is a right to lists that ask for it alone.
        pages = self._client.pages(
            self.resource, self._selection.namespace, field_selector=self._selection.field_selector, page_size=1
        )
        try:
            version = int((await anext(pages)).resource_version)
        finally:
            await _close(pages)
        self._listed = version >= self._store.delivered
        self._failures = 0
        self._contact()

    def _apply(self, event: WatchEvent) -> None:
        version = resource_version_of(event.object)
        if event.type == "BOOKMARK":
            self._store.advance(version)
            return
        key = key_of(event.object)
        if event.type == "DELETED":
            self._store.delete(key, version)
        elif (row := self._listed_row(key, event.object)) is not None:
            self._store.upsert(key, row, terminating="deletionTimestamp" in event.object["metadata"])
        else:
            self._store.advance(version)

    async def _recover(self, error: Exception) -> None:
        """Decides between a new watch and a new list, and waits."""
        self._failures += 1
        self._listed = self._listed and _can_resume(error)
        asked = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
        delay = self._pace.backoff.delay(self._failures, at_least=min(asked, _LONGEST_ASKED_SECONDS))
        expected = isinstance(error, (ApiError, TransportError))
        _log.warning(
            "%s: %s; %s in %.1f s",
            self.resource.plural,
            error if expected else repr(error),
            "watching again" if self._listed else "listing again",
            delay,
            exc_info=None if expected else error,
        )
        await asyncio.sleep(delay)

    def _listed_row(self, key: Key, obj: Object) -> Row[T] | None:
        """As stored, where that is this very version: the watch, and the answer to its owner's own write, bring
        the same."""
        known = self._store.row(key)
        if known is not None and known.version == resource_version_of(obj):
            return known
        return self._row(key, obj) or known

    def _row(self, key: Key, obj: Object) -> Row[T] | None:
        metadata = obj["metadata"]
        metadata.pop("managedFields", None)
        try:
            return Row(int(metadata["resourceVersion"]), metadata["uid"], self._project(obj))
        except Exception:  # noqa: BLE001 - one odd object must not blind us to all others
            _log.exception("%s %s cannot be read; its former value stays", self.resource.kind, key)
            return None

    def _changed(self, key: Key, old: T | None, new: T | None) -> None:
        try:
            self._on_change(key, old, new)
        except Exception:  # noqa: BLE001 - the caller's fault, and the table is right without it
            _log.exception("%s %s: the change handler failed", self.resource.kind, key)

    def _contact(self) -> None:
        self._last_contact = self._clock()


def _spread(seconds: int) -> int:
    # So that the reflectors of all replicas do not come back at the same moment.
    return random.randint(max(1, seconds * 4 // 5), max(1, seconds * 6 // 5))  # noqa: S311 - no secret


def _can_resume(error: Exception) -> bool:
    """Whether watching on from the last seen version is right; anything doubtful means a new list."""
    if isinstance(error, TransportError):
        return True
    if isinstance(error, ApiError) and not error.in_stream:
        return isinstance(error, TooManyRequests) or error.status >= _SERVER_ERRORS_FROM
    return False


async def _close(stream: AsyncIterator[WatchEvent] | AsyncIterator[ObjectList]) -> None:
    # A generator that is left early closes its connection only when told to.
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
