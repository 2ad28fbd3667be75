"""All that lies below a prefix of a store, and its removal: for the sweeper alone.

In a folder the file system itself is asked: what a killed writer left there under a temporary name counts too. Links
are not followed, and removing one removes the link.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from audiojob_runner.store.base import Store, check_key


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object or file."""

    key: str
    bytes: int
    written: datetime


def inventory(store: Store, prefix: str) -> Iterator[StoredObject]:
    """Everything below ``prefix``. Raises :class:`PhaseError`; half a list is never taken for a whole one."""
    check_key(prefix)
    if store.root is not None:
        yield from _files(store.root, prefix)
        return
    try:
        for batch in obstore.list(store.objects, prefix):
            for item in batch:
                yield StoredObject(item["path"], item["size"], item["last_modified"])
    except (BaseError, OSError) as error:
        raise store.explained(error, f"listing {prefix}") from error


def remove(store: Store, keys: Iterable[str]) -> None:
    """Remove these; what is gone already is fine. Raises :class:`PhaseError` at the first that cannot be removed."""
    for key in keys:
        if store.root is None:
            store.delete(key)
            continue
        try:
            (store.root / check_key(key)).unlink(missing_ok=True)
        except OSError as error:
            raise store.explained(error, f"removing {key}") from error


def remove_empty_folders(store: Store, folder: str) -> None:
    """Folders have no life of their own in a bucket; in a file system they would stay behind."""
    if store.root is None:
        return
    top = store.root / check_key(folder)
    for path, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):  # not empty, or gone
            Path(path).rmdir()


def _files(root: Path, prefix: str) -> Iterator[StoredObject]:
    top = root / prefix

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for path, _, names in os.walk(top, onerror=failed):
        for name in names:
            file = Path(path, name)
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue
            written = datetime.fromtimestamp(status.st_mtime, UTC)
            yield StoredObject(file.relative_to(root).as_posix(), status.st_size, written)
