"""The bytes of a zip around its files' own: entries are stored as they are, so that all is known beforehand. Pure.

Sizes and crc32 stand before each file, since readers in Java and .NET take no stored file whose size follows it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from audiojob_store.filenames import clean

_MAX32: Final = 0xFFFFFFFF
_MAX16: Final = 0xFFFF
_UTF8: Final = 0x0800
_ZIP64: Final = 0x0001
_NEEDS: Final = 20
_NEEDS_ZIP64: Final = 45
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END: Final = struct.Struct("<4s4H2LH")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the zip: its name there, its size."""

    name: bytes
    size: int

    @property
    def is_large(self) -> bool:
        """Whether 32 bits do not hold its size."""
        return self.size >= _MAX32

    @property
    def local_bytes(self) -> int:
        """What stands before the file."""
        return _LOCAL.size + len(self.name) + (20 if self.is_large else 0)


def unique_names(names: Sequence[str]) -> list[str]:
    """File names for a zip: harmless on every system, and no two alike where case does not count."""
    taken: set[str] = set()
    found = []
    for given in names:
        stem, dot, ending = given.replace("\\", "/").rsplit("/", 1)[-1].rpartition(".")
        stem, ending = (stem, f".{clean(ending, 'bin', 16)}") if dot and stem else (ending, "")
        base = clean(stem, "file")
        name, number = base + ending, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base} ({number}){ending}"
        taken.add(name.casefold())
        found.append(name)
    return found


def local(entry: Entry, crc32: int, when: datetime) -> bytes:
    """What stands before a file."""
    time, date = _dos(when)
    size = _MAX32 if entry.is_large else entry.size
    extra = struct.pack("<2H2Q", _ZIP64, 16, entry.size, entry.size) if entry.is_large else b""
    needs = _NEEDS_ZIP64 if entry.is_large else _NEEDS
    head = _LOCAL.pack(b"PK\3\4", needs, _UTF8, 0, time, date, crc32, size, size, len(entry.name), len(extra))
    return head + entry.name + extra


def directory(entries: Sequence[Entry], crcs: Sequence[int], when: datetime) -> bytes:
    """What stands behind all files: the list of them, and where it begins."""
    offset, listed = 0, bytearray()
    for entry, crc32 in zip(entries, crcs, strict=True):
        listed += _central(entry, crc32, offset, when)
        offset += entry.local_bytes + entry.size
    count, size = len(entries), len(listed)
    if _needs_zip64(count, size, offset):
        place = offset + size
        listed += _END64.pack(b"PK\6\6", 44, _UNIX | _NEEDS_ZIP64, _NEEDS_ZIP64, 0, 0, count, count, size, offset)
        listed += _LOCATOR.pack(b"PK\6\7", 0, place, 1)
    few = min(count, _MAX16)
    return bytes(listed) + _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _MAX32), min(offset, _MAX32), 0)


def total(entries: Sequence[Entry]) -> int:
    """Bytes of the whole zip."""
    files = sum(entry.local_bytes + entry.size for entry in entries)
    return files + len(directory(entries, [0] * len(entries), datetime(1980, 1, 1, tzinfo=UTC)))


def _needs_zip64(count: int, size: int, offset: int) -> bool:
    return count >= _MAX16 or size >= _MAX32 or offset >= _MAX32


def _central(entry: Entry, crc32: int, offset: int, when: datetime) -> bytes:
    time, date = _dos(when)
    sizes = (entry.size, entry.size) if entry.is_large else ()
    far = (offset,) if offset >= _MAX32 else ()
    large = (*sizes, *far)
    extra = struct.pack(f"<2H{len(large)}Q", _ZIP64, 8 * len(large), *large) if large else b""
    needs = _NEEDS_ZIP64 if large else _NEEDS
    size = _MAX32 if sizes else entry.size
    head = _CENTRAL.pack(
        b"PK\1\2", _UNIX | needs, needs, _UTF8, 0, time, date, crc32, size, size,
        len(entry.name), len(extra), 0, 0, 0, _MODE, _MAX32 if far else offset,
    )  # fmt: skip
    return head + entry.name + extra


def _dos(when: datetime) -> tuple[int, int]:
    """Time and date as MS-DOS wrote them: from 1980, every two seconds."""
    utc = when.astimezone(UTC)
    year = min(max(utc.year, 1980), 2107)
    return utc.hour << 11 | utc.minute << 5 | utc.second // 2, (year - 1980) << 9 | utc.month << 5 | utc.day
