"""What is known of one resource type: a pure table that lists, watch events and write answers feed.

One rule decides everything: newer resourceVersion wins. The watch delivers all changes of a type in
order, so an answer not newer than the last delivered change has already been seen, even if the object is
gone by now. Where something between us and the server breaks that order, what is newer than the row that is
known of the object is still taken over, so that no late event leaves the table wrong until the next list.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, ValuesView
from dataclasses import dataclass
from typing import Generic, TypeVar

from audiojob_kube.objects import Key

T = TypeVar("T")

OnChange = Callable[[Key, T | None, T | None], None]


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """One object at one version, reduced to `value`."""

    version: int
    uid: str
    value: T


class Store(Generic[T]):
    """The rows by key. `on_change(key, old, new)` is called once for each value that really changed."""

    def __init__(self, on_change: OnChange[T]) -> None:
        self._on_change = on_change
        self._rows: dict[Key, Row[T]] = {}
        self._values: dict[Key, T] = {}
        self._forgotten: dict[Key, str] = {}
        self.delivered = 0
        """The newest version that a list, a watch event or a bookmark has brought."""

    def get(self, key: Key) -> T | None:
        return self._values.get(key)

    def row(self, key: Key) -> Row[T] | None:
        return self._rows.get(key)

    def values(self) -> ValuesView[T]:
        return self._values.values()

    def items(self) -> ItemsView[Key, T]:
        return self._values.items()

    def begin_list(self) -> None:
        """A list is about to be asked for: it will know better than any `forget` before it."""
        self._forgotten.clear()

    def replace(self, fresh: dict[Key, Row[T]], version: int) -> None:
        """A complete list as of `version`: what it lacks was deleted, unless written after it was taken.

        A version below the last delivered one means that the server's database was put back to an earlier
        state; then the list is right and everything known from before is wrong.
        """
        rewound = version < self.delivered
        for key, row in list(self._rows.items()):
            if key not in fresh and (rewound or row.version <= version):
                self._remove(key)
        for key, row in fresh.items():
            known = self._rows.get(key)
            if rewound or known is None or known.version < row.version:
                self._set(key, row)
        # The watch will bring the deletion only of what the list still had.
        self._forgotten = {key: uid for key, uid in self._forgotten.items() if key in fresh}
        self.delivered = version

    def upsert(self, key: Key, row: Row[T], *, terminating: bool) -> None:
        """An ADDED or MODIFIED event."""
        if row.version < self.delivered and not self._is_news(key, row):
            return
        self.advance(row.version)
        if terminating:
            self._forgotten.pop(key, None)
        self._set_if_newer(key, row)

    def delete(self, key: Key, version: int) -> None:
        """A DELETED event; `version` is that of the deletion."""
        if version >= self.delivered:
            self._forgotten.pop(key, None)
        self.advance(version)
        known = self._rows.get(key)
        if known is not None and known.version <= version:
            self._remove(key)

    def advance(self, version: int) -> None:
        """A bookmark: everything up to `version` has been delivered."""
        self.delivered = max(self.delivered, version)

    def put(self, key: Key, row: Row[T]) -> None:
        """A write's answer, which may come before or after its own watch event."""
        if row.version > self.delivered or self._is_news(key, row):
            self._set_if_newer(key, row)

    def forget(self, key: Key, uid: str) -> None:
        """The object of that uid is known to be gone; its events from before that are ignored.

        One that is not in the table has had its deletion delivered, or will have right after its creation.
        """
        known = self._rows.get(key)
        if known is not None and known.uid == uid:
            self._forgotten[key] = uid
            self._remove(key)

    def _is_news(self, key: Key, row: Row[T]) -> bool:
        """Whether the object is known, and this is a newer version of it."""
        known = self._rows.get(key)
        return known is not None and known.uid == row.uid and known.version < row.version

    def _set_if_newer(self, key: Key, row: Row[T]) -> None:
        known = self._rows.get(key)
        if known is None or known.version < row.version:
            self._set(key, row)

    def _set(self, key: Key, row: Row[T]) -> None:
        if self._forgotten.get(key) == row.uid:
            return
        known = self._rows.get(key)
        if known is not None and known.uid != row.uid:
            # Deleted and created again in a gap: two objects, so two changes.
            self._remove(key)
            known = None
        self._rows[key] = row
        self._values[key] = row.value
        if known is None:
            self._on_change(key, None, row.value)
        elif known.value != row.value:
            self._on_change(key, known.value, row.value)

    def _remove(self, key: Key) -> None:
        del self._rows[key]
        self._on_change(key, self._values.pop(key), None)
