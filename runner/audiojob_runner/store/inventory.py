"""All that lies below a prefix of a store, and its removal: for the sweeper alone.

In a folder the file system itself is asked: what a killed writer left there under a temporary name counts too. Pods
write in these folders meanwhile, so they are reached as ``trees`` says: no link is followed, and removing one removes
the link.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError

from audiojob_runner.store.base import Store, check_key
from audiojob_store import trees

# A file with holes takes no more than its blocks; below that some file systems count none.
_HOLES_MATTER_BYTES: Final = 1024**2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object or file. ``folder``: one that lies deeper than anything that we write, with all that is in it."""

    key: str
    bytes: int
    written: datetime
    folder: bool = False


def inventory(store: Store, prefix: str) -> Iterator[StoredObject]:
    """Everything below ``prefix``. Raises :class:`PhaseError`; half a list is never taken for a whole one."""
    check_key(prefix)
    try:
        if store.root is not None:
            yield from _files(store.root, prefix)
            return
        for batch in obstore.list(store.objects, prefix):
            for item in batch:
                yield StoredObject(item["path"], item["size"], item["last_modified"])
    except (BaseError, OSError) as error:
        raise store.explained(error, f"listing {prefix}") from error


def remove(store: Store, items: Iterable[StoredObject]) -> None:
    """Remove these; what is gone already is fine. Raises :class:`PhaseError` at the first that cannot be removed."""
    for item in items:
        if store.root is None:
            store.delete(item.key)
            continue
        check_key(item.key)
        try:
            if item.folder:
                trees.remove_tree(store.root, item.key)
            elif not trees.remove_file(store.root, item.key):
                _log.warning("%s was replaced while it was removed, so it stays until the next pass", item.key)
        except OSError as error:
            raise store.explained(error, f"removing {item.key}") from error


def remove_empty_folders(store: Store, folder: str) -> None:
    """Folders have no life of their own in a bucket; in a file system they would stay behind."""
    if store.root is not None:
        trees.remove_empty_folders(store.root, check_key(folder))


def _files(root: Path, prefix: str) -> Iterator[StoredObject]:
    for entry in trees.walk(root, prefix):
        yield StoredObject(entry.key, _taken(entry.status), _written(entry.status), stat.S_ISDIR(entry.status.st_mode))


def _taken(status: os.stat_result) -> int:
    """Bytes on the disk: a size costs nothing to set, and counts in the share that a pass may remove."""
    return min(status.st_size, max(_HOLES_MATTER_BYTES, status.st_blocks * 512))


def _written(status: os.stat_result) -> datetime:
    """When the file was written. Its owner can set any time, even one that is no date; the kernel alone sets ctime."""
    return datetime.fromtimestamp(max(0.0, min(status.st_mtime, status.st_ctime)), UTC)
