"""What a downloaded file is, by its contents: neither its name nor a server's word decides. And what it says where it
is an error page."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import MEDIA_TYPES
from audiojob_runner.fetch.mediainfo import plain_text
from audiojob_runner.media.streams import MediaFile
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

HEAD_BYTES: Final = 4_096
MAX_SAID: Final = 120
# Extensions that name the same kind: whichever came is kept.
_SAME: Final = (
    {"aif", "aiff"}, {"m4a", "m4b"}, {"mp3", "mpga"}, {"oga", "ogg"}, {"m4v", "mp4"}, {"mka"}, {"weba"},
)  # fmt: skip
_PLAIN: Final = {"wav": "wav", "w64": "w64", "aiff": "aiff", "caf": "caf", "au": "au", "flac": "flac", "mp3": "mp3",
                 "aac": "aac", "mpegts": "ts"}  # fmt: skip
# What is neither sound nor film, by its first bytes.
_OTHERS: Final = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x89PNG\r\n\x1a\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
)
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_UNSHOWN: Final = re.compile(
    r"<(script|style|head)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)|<[^>]*(>|$)", re.IGNORECASE | re.DOTALL
)
_ADDRESS: Final = re.compile(r"\b(https?)://([^\s/?#\"'<>]+)[^\s\"'<>]*", re.IGNORECASE)
# Keys, tokens and hashes: nothing that a person reads is as long and as mixed.
_SECRET: Final = re.compile(r"(?=[\w.+/=-]*\d)(?=[\w.+/=-]*[A-Za-z])[\w.+/=-]{20,}")


def media_kind(found: MediaFile, head: bytes, called: str | None) -> tuple[str, str]:
    """Extension and media type of a file with these contents. ``called`` is the extension that it came with."""
    extension = _extension(found, head)
    if called is not None and any({extension, called} <= same for same in _SAME):
        extension = called
    return extension, MEDIA_TYPES[extension]


def _extension(found: MediaFile, head: bytes) -> str:
    film = bool(found.films)
    if found.demuxer == "mov":
        if head[4:12] == b"ftypqt  " or head[4:8] != b"ftyp":
            return "mov"
        return "mp4" if film else "m4a"
    if found.demuxer == "matroska":
        webm = b"webm" in head[:64]
        return ("webm" if film else "weba") if webm else ("mkv" if film else "mka")
    if found.demuxer == "ogg":
        if film:
            return "ogv"
        return "opus" if found.sound is not None and found.sound.codec == "opus" else "ogg"
    return _PLAIN[found.demuxer]


def check_no_page(path: Path) -> None:
    """Refuse what is an error page or a file of another kind, whatever it was called. Raises :class:`PhaseError`."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise _not_media("The source is empty: 0 bytes came.")
    what = next((name for magic, name in _OTHERS if head.startswith(magic)), None)
    if what is not None:
        raise _not_media(f"The source is {what}, not audio or video.")
    text = as_text(head)
    if text is not None:
        said = first_words(text)
        raise _not_media("The source is text, not audio or video" + (f'. It says: "{said}".' if said else "."))


def as_text(head: bytes) -> str | None:
    """The text that a file begins with, or None where it is none. No medium begins with so many plain characters."""
    for mark, codec in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if head.startswith(mark):
            return head.decode(codec, "ignore")
    if any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head) or 0x7F in head:
        return None
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3:  # the end was cut within a character
            return head[: error.start].decode("utf-8")
    # Pages in Latin-1 and the like: mostly ASCII, and marked up.
    foreign = sum(byte > 0x7F for byte in head)
    return head.decode("cp1252", "ignore") if head.lstrip()[:1] in b"<{[" or foreign < len(head) / 4 else None


def first_words(text: str) -> str:
    """What a page says first, without markup, addresses' secrets or control characters."""
    title = _TITLE.search(text)
    body = title[1] if title and title[1].strip() else _UNSHOWN.sub(" ", text) if "<" in text else text
    plain = plain_text(html.unescape(body), HEAD_BYTES) or ""
    plain = _SECRET.sub("…", _ADDRESS.sub(_host, plain))
    return plain if len(plain) <= MAX_SAID else plain[:MAX_SAID].rsplit(" ", 1)[0] + " …"


def _host(found: re.Match[str]) -> str:
    return f"{found[1]}://{found[2].rpartition('@')[2]}/…"


def _not_media(message: str) -> PhaseError:
    return PhaseError(
        ExitCode.NOT_MEDIA,
        Reason.NOT_MEDIA,
        message,
        "Open the address in a browser: it must give one audio or video file.",
    )
