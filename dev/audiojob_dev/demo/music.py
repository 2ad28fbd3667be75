"""A real piece of music, and an HTTP server on this machine that hands it out with ranges."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from audiojob_dev.errors import DevError
from audiojob_dev.tools import debian
from audiojob_dev.webserver import Quiet, serving

PACKAGE = "asc-music"
PIECE = "machine_wars.mp3"  # the shortest of the three, 4:51
INSTALLED = Path("/usr/share/games/asc/music") / PIECE


class MusicMissingError(RuntimeError):
    """The piece is not on this machine and cannot be put there."""


def find_music(cache: Path) -> Path:
    """The piece's file: installed, unpacked into ``cache`` before, or fetched now as Debian's package.

    Unpacking needs no root and changes nothing outside ``cache``. Raises :class:`MusicMissingError`.
    """
    cached = cache / PIECE
    for candidate in (INSTALLED, cached):
        if candidate.is_file():
            return candidate
    with tempfile.TemporaryDirectory() as folder:
        try:
            debian.unpack([PACKAGE], Path(folder) / "root")
        except DevError as error:
            raise MusicMissingError(f"{PIECE} is missing: {error} Or copy any mp3 to {cached}") from None
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cached.with_suffix(".new")
        shutil.copyfile(Path(folder) / "root" / INSTALLED.relative_to("/"), fresh)
        fresh.replace(cached)  # half a piece would be taken for the whole one ever after
    return cached


class _Files(Quiet, SimpleHTTPRequestHandler):
    """The demo's own output is the log."""


@contextlib.contextmanager
def serve(folder: Path, address: str) -> Iterator[str]:
    """Serve ``folder`` on ``address`` and any free port; yields the base URL and stops at the end."""
    with serving(address, partial(_Files, directory=str(folder))) as url:
        yield url
