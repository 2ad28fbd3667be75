"""Files and folders that other pods can write, reached by descriptors: the one place that lists and removes them.

Whoever can write a folder can swap any name in it for a link between two of our system calls. So no path of several
parts is handed to the kernel: each part is opened below the descriptor of the one before it, and no link is followed.
What was swapped meanwhile then fails to open, or is removed itself; nothing outside the root is ever reached.

Only the root is opened by its path. It is a mount, or lies where nobody else can write; or it is a descriptor itself.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# What we write lies a few folders deep. A folder below that is listed as one thing, and removed as one.
MAX_DEPTH: Final = 32
# Of a folder that is being emptied: one for each level, unless somebody goes on filling it.
_MAX_ROUNDS: Final = 20_000
# How opening a regular file without following links fails where the name is something else: a link (at the end, or on
# the way), a pipe, a device, a folder, a socket.
NO_FILE: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EINVAL, errno.EISDIR, errno.ENXIO})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without blocking: somebody may have made a pipe there, whose other end never comes.
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Entry:
    """What has a name below a root: a file, a link, anything but a folder; or a folder that lies too deep."""

    key: str
    status: os.stat_result


Root = Path | int  # an open folder, where whoever can write what is above it may put a link in its place


@contextmanager
def folder(root: Root, key: str, *, create: bool = False) -> Iterator[int]:
    """A descriptor of the folder ``key`` below ``root``; "" is the root. Raises :class:`OSError`."""
    descriptor = os.dup(root) if isinstance(root, int) else os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in _parts(key):
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            below = _enter(part, descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(root: Root, key: str) -> int:
    """A descriptor of a regular file, to read it. Raises :class:`OSError`; EINVAL for a pipe, a device or a folder."""
    above, name = _split(key)
    with folder(root, above) as parent:
        return open_in(parent, name)


def open_in(parent: int, name: str, access: int = os.O_RDONLY) -> int:
    """As :func:`open_file`, for a name in the folder of the descriptor; ``access`` may be another, or make the file."""
    return regular(os.open(name, access | _FILE, 0o644, dir_fd=parent), name)


def regular(descriptor: int, name: str) -> int:
    """The descriptor, if it is of a regular file; else it is closed. Raises :class:`OSError`."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "It is no regular file", name)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_file(root: Path, key: str, content: bytes) -> None:
    """Write a small file as a whole, durably, with its folders; what has the name is replaced. Raises ``OSError``."""
    above, name = _split(key)
    part = f".{secrets.token_hex(8)}.part"
    with folder(root, above, create=True) as parent:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o644, dir_fd=parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=parent)
            raise
        os.fsync(parent)


def lookup(root: Path, key: str) -> os.stat_result | None:
    """What has that name, a link as itself; None where nothing has it. Raises :class:`OSError`."""
    above, name = _split(key)
    try:
        with folder(root, above) as parent:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def subfolders(root: Path, key: str) -> list[str]:
    """Names of the folders in a folder, without links; none where it does not exist. Raises :class:`OSError`."""
    try:
        with folder(root, key) as descriptor, os.scandir(descriptor) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def walk(root: Path, key: str) -> Iterator[Entry]:
    """Everything below a folder that is no folder. What vanishes or is swapped meanwhile is left out.

    Raises :class:`OSError`: half a list is never taken for a whole one.
    """
    waiting = [(key, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            with folder(root, place) as descriptor:
                found = list(_names(descriptor))
                for name, is_folder in found:
                    below = f"{place}/{name}" if place else name
                    if is_folder and depth < MAX_DEPTH:
                        waiting.append((below, depth + 1))
                        continue
                    with suppress(FileNotFoundError):
                        yield Entry(below, os.stat(name, dir_fd=descriptor, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            continue


def remove_file(root: Path, key: str) -> bool:
    """Remove a name that is no folder: a link itself, never what it leads to. Whether nothing has the name any more.

    Raises :class:`OSError`.
    """
    above, name = _split(key)
    try:
        with folder(root, above) as parent:
            os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except (NotADirectoryError, IsADirectoryError):  # swapped since it was listed: another thing than was meant
        return False
    return True


def remove_tree(root: Path, key: str) -> None:
    """Remove a folder with all that is in it, or whatever else has that name. Nothing there is fine.

    Raises :class:`OSError` for what cannot be removed, such as a folder that somebody goes on filling.
    """
    above, name = _split(key)
    with suppress(FileNotFoundError), folder(root, above) as parent:
        try:
            descriptor = _enter(name, parent)
        except NotADirectoryError:
            os.unlink(name, dir_fd=parent)
            return
        try:
            _empty(descriptor)
        finally:
            os.close(descriptor)
        os.rmdir(name, dir_fd=parent)


def remove_empty_folders(root: Path, key: str) -> None:
    """Remove a folder and those below it as far as they are empty. Raises nothing."""
    places, waiting = [], [(key, 0)]
    while waiting:
        place, depth = waiting.pop()
        places.append(place)
        with suppress(OSError), folder(root, place) as descriptor:
            names = [name for name, is_folder in _names(descriptor) if is_folder]
            waiting += [(f"{place}/{name}", depth + 1) for name in names if depth < MAX_DEPTH]
    for place in reversed(places):
        above, name = _split(place)
        with suppress(OSError), folder(root, above) as parent:
            os.rmdir(name, dir_fd=parent)


def _empty(top: int) -> None:
    """Remove all that is in a folder, however deep: folders of folders are moved up, so that two descriptors do."""
    device, moved = os.fstat(top).st_dev, 0
    for _ in range(_MAX_ROUNDS):
        folders = _unlink_files(top)
        if not folders:
            return
        for name in folders:
            try:
                child = _enter(name, top)
            except (FileNotFoundError, NotADirectoryError):
                continue  # swapped: the next round removes what it is now
            try:
                if os.fstat(child).st_dev != device:
                    raise OSError(errno.EXDEV, "Another volume is mounted in it", name)
                for below in _unlink_files(child):
                    moved += 1
                    _move(below, child, f".{secrets.token_hex(8)}-{moved}", top)
            finally:
                os.close(child)
            with suppress(OSError):  # not empty again: the next round
                os.rmdir(name, dir_fd=top)
    raise OSError(errno.ENOTEMPTY, "It is filled again and again")


def _unlink_files(descriptor: int) -> list[str]:
    """Remove what is no folder; the names of the folders."""
    if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(OSError):  # not ours: removing says so
            os.fchmod(descriptor, stat.S_IRWXU)
    folders = []
    for name, is_folder in list(_names(descriptor)):
        if is_folder:
            folders.append(name)
            continue
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(name, dir_fd=descriptor)
    return folders


def _names(descriptor: int) -> Iterator[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder itself."""
    with os.scandir(descriptor) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _move(name: str, source: int, new: str, target: int) -> None:
    try:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except PermissionError:  # a folder is only moved by who may write it
        _open_up(name, source)
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except FileNotFoundError:
        return


def _enter(name: str, parent: int) -> int:
    """A descriptor of the folder. One of ours that was closed to everybody is opened up."""
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _open_up(name, parent)
        return os.open(name, _FOLDER, dir_fd=parent)


def _open_up(name: str, parent: int) -> None:
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        with suppress(OSError):  # not ours: opening it says so
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)  # noqa: PTH101 - a descriptor, no path
    finally:
        os.close(descriptor)


def _parts(key: str) -> list[str]:
    """The parts of a key. Raises :class:`OSError` for one that is no name: it would lead out."""
    parts = key.split("/") if key else []
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise OSError(errno.EINVAL, "It is not a key", key)
    return parts


def _split(key: str) -> tuple[str, str]:
    parts = _parts(key)
    if not parts:
        raise OSError(errno.EINVAL, "It is not a key", key)
    return "/".join(parts[:-1]), parts[-1]
