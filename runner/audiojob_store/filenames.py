"""The only place where titles become file names. Pure: text in, a path relative to a library out.

A value never decides where a file lies: layouts are ours, their fields are a closed list, and what a field holds is
cleaned until it is one harmless part of a path on Linux, macOS, Windows and in a bucket.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from audiojob_types.destination import Layout

MAX_PART_BYTES: Final = 120
UNTITLED: Final = "untitled"
MAX_NUMBER: Final = 999

# Each layout's folders; the file is always "<title> (<stem>).<ext>".
_FOLDERS: Final[dict[Layout, tuple[str, ...]]] = {
    Layout.TITLE: (),
    Layout.ARTIST: ("artist",),
    Layout.ARTIST_ALBUM: ("artist", "album"),
    Layout.DATE: ("date",),
    Layout.JOB: ("job",),
}
_UNKNOWN: Final = {"artist": "Unknown artist", "album": "Unknown album", "date": "Unknown date", "job": "job"}
# Outputs of these names are the whole piece, whose file needs no word behind the title.
WHOLE: Final = frozenset({"source", "audio", "file"})

_SPACES: Final = frozenset({"Zs", "Zl", "Zp"})
# Cc control, Cf format (bidi, zero-width, tags), Cs lone surrogates, Co private, Cn unassigned.
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_RESERVED: Final = re.compile(r'[<>:"/\\|?*]')
_EDGES: Final = " .-"
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,10}")
_FALLBACK_EXTENSION: Final = "bin"


@dataclass(frozen=True, slots=True)
class Naming:
    """The texts that a file's path is made of, unchecked. ``stem`` is "" for a whole piece."""

    title: str
    job: str
    artist: str = ""
    album: str = ""
    date: str = ""
    stem: str = ""
    ext: str = ""


def place(layout: Layout, naming: Naming, number: int = 1) -> str:
    """Where the file belongs, relative to its library; ``number`` above 1 is the suffix of a name that was taken.

    Raises :class:`ValueError` for a number beyond ``MAX_NUMBER``.
    """
    if not 1 <= number <= MAX_NUMBER:
        raise ValueError(f"number must be 1 to {MAX_NUMBER}, not {number}")
    values = {"artist": naming.artist, "album": naming.album, "date": naming.date, "job": naming.job}
    folders = [clean(values[field], _UNKNOWN[field]) for field in _FOLDERS[layout]]
    return "/".join([*folders, _file(naming, number)])


def naming(metadata: Mapping[str, object], *, job: str, output: str, extension: str) -> Naming:
    """What a source's metadata say: the title (else the job's name), who made it, from which album, when.

    ``output`` is the name by which the pipeline knows the file, ``extension`` that of the file.
    """
    return Naming(
        title=_first(metadata, "title", "track") or job,
        artist=_first(metadata, "artist", "creator", "uploader", "channel"),
        album=_first(metadata, "album", "playlist"),
        date=_first(metadata, "date", "releaseDate", "uploadDate"),
        job=job,
        stem="" if output in WHOLE else output,
        ext=extension,
    )


def clean(text: str, fallback: str = UNTITLED, max_bytes: int = MAX_PART_BYTES) -> str:
    """One part of a path, made of ``text``: never empty, never longer than ``max_bytes`` of UTF-8."""
    part = _shorten(_strip(_plain(text)), max_bytes)
    if not part:
        part = fallback
    # Windows takes names of devices for the devices, whatever comes behind a dot.
    return f"_{part}" if _DEVICE.fullmatch(part.partition(".")[0].rstrip()) else part


def clean_extension(extension: str) -> str:
    """A file's ending without its dot: short and plain, else ``bin``."""
    lowered = extension.lstrip(".").lower()
    return lowered if _EXTENSION.fullmatch(lowered) else _FALLBACK_EXTENSION


def _file(naming: Naming, number: int) -> str:
    stem = _shorten(_strip(_plain(naming.stem)), MAX_PART_BYTES // 3)
    tail = f" ({stem})" if stem else ""
    tail += f" ({number})" if number > 1 else ""
    tail += f".{clean_extension(naming.ext)}"
    # One byte is left for the underscore before the name of a device.
    return clean(naming.title, max_bytes=MAX_PART_BYTES - len(tail.encode()) - 1) + tail


def _plain(text: str) -> str:
    kept = []
    for character in unicodedata.normalize("NFC", text[: 64 * MAX_PART_BYTES]):
        category = unicodedata.category(character)
        if category in _SPACES or character in "\t\n\r\v\f":
            kept.append(" ")
        elif category not in _DROPPED:
            kept.append(character)
    replaced = _RESERVED.sub("-", "".join(kept))
    # Once more: what lay between a letter and its accent is gone now.
    return unicodedata.normalize("NFC", re.sub(" +", " ", replaced))


def _strip(text: str) -> str:
    return text.strip(_EDGES)


def _shorten(text: str, max_bytes: int) -> str:
    """The longest start of whole characters, with their accents, that fits."""
    if len(text.encode()) <= max_bytes:
        return text
    end = len(text.encode()[:max_bytes].decode("utf-8", "ignore"))
    while end and unicodedata.combining(text[end]):
        end -= 1
    return _strip(text[:end])


def _first(metadata: Mapping[str, object], *names: str) -> str:
    """The first of these that says anything; lists of names are joined."""
    for name in names:
        value = metadata.get(name)
        if isinstance(value, list | tuple):
            value = ", ".join(item for item in value if isinstance(item, str))
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
    return ""
