"""The folder store: a mounted volume, where a key is the path below its root."""

from __future__ import annotations

from pathlib import Path

from obstore.store import LocalStore

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.base import Store
from audiojob_types.contract import ExitCode, FolderStore
from audiojob_types.reasons import Reason


def open_folder(config: FolderStore) -> Store:
    """The store below ``config.root``. Raises :class:`PhaseError` (64) where that is no folder."""
    root = Path(config.root)
    if not root.is_dir():
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The store's folder {root} does not exist.",
            "Check that the claim audiojob-store is mounted.",
        )
    return Store(objects=LocalStore(prefix=root), name=str(root), root=root)
