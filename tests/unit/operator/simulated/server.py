"""An API server of plain dictionaries: objects with versions, and all that its watches would tell, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from tests.unit.operator.jsonpatch import FailedTestError, apply_patch

from audiojob_kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from audiojob_kube.objects import Key, Object, WatchEvent, key_of
from audiojob_kube.resources import JOBS, PODS, Resource
from audiojob_types.base import format_time

GRACE = timedelta(seconds=30)


class Server:
    """What is deleted takes its children along: Jobs go at once, pods have their grace."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._version = 0
        self._objects: dict[str, dict[Key, Object]] = {}
        self.log: dict[str, list[WatchEvent]] = {}

    def all(self, resource: Resource) -> list[Object]:
        """Shared: treat them as frozen."""
        return list(self._objects.get(resource.plural, {}).values())

    def find(self, resource: Resource, key: Key) -> Object | None:
        return self._objects.get(resource.plural, {}).get(key)

    def get(self, resource: Resource, key: Key) -> Object:
        if (found := self.find(resource, key)) is None:
            raise NotFound(404, "NotFound", f"{resource.plural} {key[1]} not found")
        return deepcopy(found)

    def create(self, resource: Resource, body: Object) -> Object:
        key = key_of(body)
        if self.find(resource, key) is not None:
            raise AlreadyExists(409, "AlreadyExists", f"{resource.plural} {key[1]} already exists")
        made = deepcopy(body)
        uid = f"{resource.plural}-{self._version + 1}"
        made["metadata"] |= {"uid": uid, "generation": 1, "creationTimestamp": format_time(self._now())}
        made.setdefault("status", {})
        return self._store(resource, made, "ADDED")

    def patch(self, resource: Resource, key: Key, operations: Sequence[Object]) -> Object:
        try:
            changed = apply_patch(self.get(resource, key), operations)
        except (FailedTestError, KeyError) as error:
            raise Invalid(422, "Invalid", str(error)) from error
        return self._store(resource, changed, "MODIFIED")

    def change(self, resource: Resource, obj: Object, **parts: Any) -> Object:
        """Replace parts of an object as it is now: ``status``, ``spec``, ``metadata``."""
        return self._store(resource, {**self.get(resource, key_of(obj)), **parts}, "MODIFIED")

    def delete(self, resource: Resource, key: Key, uid: str | None = None, *, force: bool = False) -> None:
        found = self.get(resource, key)
        if uid is not None and found["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "it is another one")
        if resource is PODS and not force:
            if "deletionTimestamp" not in found["metadata"]:
                found["metadata"]["deletionTimestamp"] = format_time(self._now() + GRACE)
                self._store(resource, found, "MODIFIED")
            return
        del self._objects[resource.plural][key]
        self._store(resource, found, "DELETED")
        for kind in (JOBS, PODS):
            for child in self.all(kind):
                owners = child["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == found["metadata"]["uid"] for owner in owners):
                    self.delete(kind, key_of(child))

    def _store(self, resource: Resource, obj: Object, event: Any) -> Object:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if event != "DELETED":
            self._objects.setdefault(resource.plural, {})[key_of(obj)] = obj
        self.log.setdefault(resource.plural, []).append(WatchEvent(event, deepcopy(obj)))
        return deepcopy(obj)
