"""The models volume: its files, and ``models.json``, the record of the whole sha256 of every file.

demucs' authors publish 8 hex digits of each sha256, which anybody with a few minutes can match. So the whole one is
written down when a file is first fetched, and everything that is fetched or loaded later must fit it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import Field, ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_store.trees import regular
from audiojob_types.base import Sha256, StatusModel, Time
from audiojob_types.contract import ExitCode
from audiojob_types.models import KnownModel, published_prefix
from audiojob_types.reasons import Reason

LOCK_NAME: Final = "models.json"
PART_SUFFIX: Final = ".part"
BLOCK_BYTES: Final = 1024 * 1024
MAX_LOCK_BYTES: Final = 1024 * 1024


class FileRecord(StatusModel):
    """One file as it was when it was first fetched."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256
    recorded_time: Time


class Lock(StatusModel):
    """``models.json``: the files by name."""

    files: dict[str, FileRecord] = Field(default_factory=dict)

    def with_file(self, name: str, size: int, digest: str, now: datetime) -> Lock:
        """The same with one more file. A file that is recorded already stays as it was first."""
        record = FileRecord(bytes=size, sha256=digest, recorded_time=now)
        return Lock(files={name: record} | self.files)


def read_lock(root: Path) -> Lock:
    """What is recorded; nothing where there is no record yet. Raises :class:`PhaseError`: ChecksumMismatch."""
    path = root / LOCK_NAME
    try:
        return Lock.read(read_plain(path, MAX_LOCK_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return Lock()
    except (OSError, ValidationError) as error:
        # To pass over it would be to forget what the files were.
        raise PhaseError(
            ExitCode.USAGE,
            Reason.CHECKSUM_MISMATCH,
            f"The record of checksums in the models volume, {LOCK_NAME}, cannot be read.",
            f"Restore {LOCK_NAME} from a backup, or delete it with all .th files and run the prefetch again.",
        ) from error


def open_plain(path: Path) -> BinaryIO:
    """A file of a folder that others fill, to read it. Links are followed, as administrators make them; a pipe or a
    device, which might never end, is no file. Raises :class:`OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return os.fdopen(regular(descriptor, str(path)), "rb")


def is_plain(path: Path) -> bool:
    """Whether a regular file has that name itself. Raises :class:`OSError`."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def read_plain(path: Path, limit: int) -> bytes:
    """The first ``limit`` bytes of it."""
    with open_plain(path) as file:
        return file.read(limit)


def write_lock(root: Path, lock: Lock) -> None:
    """Replace the record as a whole. Raises ``OSError``."""
    text = json.dumps(lock.to_wire(), indent=1, sort_keys=True) + "\n"
    write_whole(root / LOCK_NAME, text.encode())


def write_whole(path: Path, content: bytes) -> None:
    """The old content or the new one, whatever happens. Raises ``OSError``, and leaves nothing half-written."""
    part = path.with_name(path.name + PART_SUFFIX)
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in the folder outlive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems know no fsync of folders
    finally:
        os.close(descriptor)


def sha256_of(path: Path, on_block: Callable[[int], None] = lambda _number: None) -> str:
    """The file's sha256; ``on_block`` gets the number of bytes read, and may raise."""
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            on_block(len(block))
    return digest.hexdigest()


def contradiction(name: str, digest: str, lock: Lock) -> str:
    """What a file's sha256 stands against: the record, or what its name tells; "" for nothing."""
    record = lock.files.get(name)
    if record is not None and digest != record.sha256:
        return f"its sha256 is {digest[:16]}… and not {record.sha256[:16]}…, which {LOCK_NAME} recorded"
    prefix = published_prefix(name)
    if not digest.startswith(prefix):
        return f"its sha256 begins with {digest[: len(prefix)]}, and its name says {prefix}"
    return ""


def listing(known: KnownModel) -> str:
    """``<model>.yaml``, by which demucs finds a model's networks. JSON values are YAML."""
    lines = [f"models: {json.dumps(list(known.signatures))}"]
    if known.weights is not None:
        lines.append(f"weights: {json.dumps([list(row) for row in known.weights])}")
    if known.segment is not None:
        lines.append(f"segment: {known.segment}")
    return "\n".join(lines) + "\n"
