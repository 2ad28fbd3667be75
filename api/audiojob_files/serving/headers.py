"""How a file is sent so that a browser plays music and runs nothing. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_SHOWN: Final = frozenset({"image/png", "image/jpeg"})
_FALLBACK_TYPE: Final = "application/octet-stream"
SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Accept-Ranges": "bytes",
}


def media_type(given: str | None) -> str:
    """The type that is sent: what a manifest or a client says, if it has the form of one."""
    lowered = (given or "").lower()
    return lowered if _TYPE.fullmatch(lowered) else _FALLBACK_TYPE


def disposition(name: str, kind: str) -> str:
    """Content-Disposition: what may be shown is audio, PNG and JPEG; all else is saved as a file."""
    how = "inline" if kind.startswith("audio/") or kind in _SHOWN else "attachment"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'[^ -~]|["\\%/]', "", plain).strip(" .") or "file"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


def etag(sha256: str) -> str:
    """A strong one: the content itself."""
    return f'"{sha256}"'
