"""Addresses that lead to the same thing, written in one way."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlencode, urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Parameters that tell a site where a visitor comes from; none of them changes what it sends.
_TRACKING: Final = frozenset({"fbclid", "gclid", "msclkid", "igshid", "mc_cid", "mc_eid"})
_TRACKING_PREFIX: Final = "utm_"
_YOUTUBE: Final = "youtube.com"
_YOUTUBE_SHORT: Final = "youtu.be"
_YOUTUBE_EMBEDDED: Final = "www.youtube-nocookie.com"
_VIDEO: Final = re.compile(r"[-_A-Za-z0-9]{11}")
_VIDEO_FOLDERS: Final = frozenset({"shorts", "embed", "live", "v"})


def normalised(url: str) -> str:
    """The address without what does not change the answer: case of the host, default port, fragment, tracking.

    A video of YouTube has one address, whichever of its many was given. An address that cannot be read stays as it is.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    host = (parts.hostname or "").rstrip(".")
    video = _video(host, parts)
    if video is not None:
        return f"https://www.{_YOUTUBE}/watch?v={video}"
    scheme = parts.scheme.lower()
    named = f"[{host}]" if ":" in host else host
    place = named if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{named}:{port}"
    query = _query(parts.query)
    return f"{scheme}://{place}{parts.path or '/'}" + (f"?{query}" if query else "")


def site_of(url: str) -> str | None:
    """The host that is asked for what the address leads to, in lower case; None if it names none."""
    try:
        return urlsplit(normalised(url)).hostname
    except ValueError:
        return None


def _query(query: str) -> str:
    """The query in its own words, unless something is to be left out of it."""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _is_tracking(name)]
    return query if len(kept) == len(pairs) else urlencode(kept)


def _is_tracking(name: str) -> bool:
    return name.lower() in _TRACKING or name.lower().startswith(_TRACKING_PREFIX)


def _video(host: str, parts: SplitResult) -> str | None:
    """The video that an address of YouTube leads to; None for anything else, such as a playlist or a channel."""
    folders = [each for each in parts.path.split("/") if each]
    found = ""
    if host == _YOUTUBE_SHORT:
        found = folders[0] if len(folders) == 1 else ""
    elif host in (_YOUTUBE, _YOUTUBE_EMBEDDED) or host.endswith(f".{_YOUTUBE}"):
        if folders == ["watch"]:
            found = parse_qs(parts.query).get("v", [""])[0]
        elif len(folders) == 2 and folders[0] in _VIDEO_FOLDERS:
            found = folders[1]
    return found if _VIDEO.fullmatch(found) else None
