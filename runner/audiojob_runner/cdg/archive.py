"""The zip of a song: graphics and sound under one name, as karaoke programs take it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from audiojob_store.filenames import clean

MEDIA_TYPE: Final = "application/zip"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o644 << 16
_MAX_NAME_BYTES: Final = 120
_BLOCK_BYTES: Final = 1024**2


def base_name(title: str, artist: str) -> str:
    """The name of both files without their endings: harmless on every system."""
    return clean(" - ".join(part for part in (artist.strip(), title.strip()) if part), "karaoke", _MAX_NAME_BYTES)


def write_archive(target: Path, name: str, graphics: Iterable[bytes], sound: Path) -> None:
    """Write both, without compression: players read them where they lie. The same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(_entry(f"{name}.cdg"), "w", force_zip64=True) as into:
            for piece in graphics:
                into.write(piece)
        with archive.open(_entry(f"{name}.mp3"), "w", force_zip64=True) as into, sound.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                into.write(block)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EARLIEST)
    entry.external_attr = _READABLE
    entry.compress_type = zipfile.ZIP_STORED
    return entry
