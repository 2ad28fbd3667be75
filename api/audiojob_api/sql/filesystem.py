"""On which kind of file system a file lies: SQLite's shared memory (WAL) corrupts data on those of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audiojob_api.sql.errors import DatabaseError

_OF_A_NETWORK: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "lustre", "glusterfs", "fuse.glusterfs", "fuse.sshfs",
    "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.goofys", "fuse.mountpoint-s3", "fuse.blobfuse", "fuse.blobfuse2",
    "fuse.juicefs", "fuse.davfs",
})  # fmt: skip
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def require_local(file: Path, mounts: str | None = None) -> None:
    """Raises DatabaseError where the file would lie on another machine."""
    found = kind_of(file.parent.resolve(), _MOUNTS.read_text() if mounts is None else mounts)
    if found in _OF_A_NETWORK:
        raise DatabaseError(
            f"database.url: {file} lies on {found}, where SQLite corrupts its data. "
            "Use a claim on a block device (ReadWriteOnce), or PostgreSQL."
        )


def kind_of(folder: Path, mounts: str) -> str:
    """The type of the file system that a folder lies on, from the text of mountinfo; "" where it is not known."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if len(fields) < 5 or not described[0]:
            continue
        point = Path(_plain(fields[4]))
        # Of several mounts at one point the last is on top.
        if (point == folder or point in folder.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), described[0]
    return kind


def _plain(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text
