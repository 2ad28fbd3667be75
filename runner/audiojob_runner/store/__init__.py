"""Where inputs come from and outputs go: a mounted folder or an S3 bucket, behind one small interface."""

from __future__ import annotations

from pathlib import Path

from audiojob_runner.store.base import Store
from audiojob_runner.store.folder import open_folder
from audiojob_runner.store.s3 import open_s3
from audiojob_types.contract import FolderStore, S3Store

__all__ = ["Store", "open_store"]


def open_store(config: FolderStore | S3Store, credentials: Path) -> Store:
    """The store that the phase file names; ``credentials`` is the folder with the S3 keys.

    Raises :class:`audiojob_runner.errors.PhaseError` where the folder or the credentials are missing.
    """
    if isinstance(config, FolderStore):
        return open_folder(config)
    return open_s3(config, credentials)
