"""yt-dlp as a library: one session, held to what we allow.

yt-dlp is given no ffmpeg, no plugins, no configuration and no network but the proxy. It finds out what is at an
address and fetches single formats; it merges, converts and tags nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yt_dlp
import yt_dlp.globals
import yt_dlp.version
from yt_dlp.networking.exceptions import IncompleteRead
from yt_dlp.utils import YoutubeDLError

from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.fetch.common import FetchTools, host_of, refused_error, too_large
from audiojob_runner.fetch.partial.resumption import is_coded
from audiojob_runner.fetch.partial.transfer import drop_redirect_body
from audiojob_runner.fetch.secrets import write_cookies
from audiojob_runner.fetch.unpacking import Unpacking, check_coding, unpacked_whole
from audiojob_runner.fetch.ytdlp.errors import explain
from audiojob_runner.fetch.ytdlp.manifests import check_dash, check_hls, check_smooth
from audiojob_runner.fetch.ytdlp.version import age_warning
from audiojob_types.contract import COOL_DOWN_REASONS
from audiojob_types.outside.redaction import SECRETS

SOCKET_SECONDS: Final = 20
RETRIES: Final = 3
MAX_PAGE_BYTES: Final = 64 * 1024**2
# As much is read and written at once, and so much at most is on disk beyond a limit. A block that breaks off is lost:
# with 1 MiB, which costs a fifth less processor time, a source that breaks off every half a MiB never got on.
BLOCK_BYTES: Final = 256 * 1024

# Arguments of a hook: bytes of this file so far, and which share (0-1) of it that is, where it is known.
OnBytes = Callable[[int, float | None], None]

# What yt-dlp's extractors parse lists of pieces with, and what is held against the list first.
_PARSERS: Final[tuple[tuple[str, Callable[[Any], None]], ...]] = (
    ("_parse_m3u8_formats_and_subtitles", check_hls),
    ("_parse_mpd_periods", check_dash),
    ("_parse_ism_formats_and_subtitles", check_smooth),
)


def knows(url: str) -> bool:
    """Whether yt-dlp has an extractor for this very site, without asking the network."""
    return any(
        extractor.suitable(url) for extractor in yt_dlp.extractor.gen_extractor_classes()
        if extractor.IE_NAME != "generic"
    )  # fmt: skip


@contextmanager
def attributed(url: str) -> Iterator[None]:
    """Names who limits requests where the site says so in words alone: the site itself, if this is one that is known.

    Of any other page nobody knows who wrote the words.
    """
    try:
        yield
    except PhaseError as error:
        if error.reason in COOL_DOWN_REASONS and error.refused_by is None and knows(url):
            error.refused_by = host_of(url)
        raise


def warnings() -> list[str]:
    """What is to be said of the installed yt-dlp itself."""
    warning = age_warning(yt_dlp.version.__version__, datetime.now(UTC).date())
    return [warning] if warning else []


@contextmanager
def session(
    folder: Path, tools: FetchTools, log: logging.Logger, more: dict[str, Any], on_bytes: OnBytes | None = None
) -> Iterator[yt_dlp.YoutubeDL]:
    """A yt-dlp whose every failure comes out as :class:`PhaseError`. ``more`` are options on top of our own."""
    yt_dlp.globals.plugin_dirs.value = []
    settings = {**options(folder, tools), "logger": _Log(log), **more}
    cookies = write_cookies(tools.secrets, folder)
    if cookies is not None:
        settings["cookiefile"] = str(cookies)
    if on_bytes is not None:
        settings["progress_hooks"] = [_Hook(tools, on_bytes)]
    try:
        with _Downloader(settings) as downloader:
            yield downloader
    except PhaseError as error:
        # A broken-off fetch may be our own doing: then what the proxy says is the reason.
        raise refused_error(tools.refusals, tools.limits) or error from error
    except (YoutubeDLError, OSError, ValueError, RecursionError) as error:
        raise refused_error(tools.refusals, tools.limits) or explain(error) from error


def options(folder: Path, tools: FetchTools) -> dict[str, Any]:
    """All that is always set; what is not set here is off in yt-dlp's interface."""
    return {
        "proxy": tools.proxy_url,
        "noplaylist": True,
        "playlist_items": "1:2",
        "lazy_playlist": True,
        "extract_flat": "in_playlist",
        "outtmpl": {"default": "source.%(ext)s"},
        "paths": {"home": str(folder)},
        "restrictfilenames": True,
        "cachedir": False,
        "ffmpeg_location": str(folder / "none"),
        "fixup": "never",
        "postprocessors": [],
        "external_downloader": {"default": "native"},
        "hls_prefer_native": True,
        "concurrent_fragment_downloads": 1,
        "enable_file_urls": False,
        "default_search": "error",
        "remote_components": [],
        "js_runtimes": _js_runtimes(),
        "max_filesize": tools.limits.max_bytes,
        "socket_timeout": SOCKET_SECONDS,
        "continuedl": True,
        "buffersize": BLOCK_BYTES,
        "noresizebuffer": True,
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": RETRIES,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
        "ignoreerrors": False,
        "updatetime": False,
        "check_formats": None,
    }


def _js_runtimes(name: str = "deno") -> dict[str, dict[str, str]]:
    """The JavaScript runtime from the ``deno`` package: a pod's PATH need not have it."""
    try:
        from deno import find_deno_bin  # noqa: PLC0415 - optional at run time

        return {name: {"path": os.fspath(find_deno_bin())}}
    except (ImportError, OSError):
        return {name: {}}


class _Downloader(yt_dlp.YoutubeDL):  # type: ignore[misc]  # yt-dlp has no types
    """Reads no page, script or list without end into memory: what was packed may be a thousand times as large."""

    def add_info_extractor(self, ie: Any) -> None:
        """As in yt-dlp, but lists that write themselves out are held against a limit."""
        super().add_info_extractor(ie)
        if not isinstance(ie, type):
            for name, check in _PARSERS:
                setattr(ie, name, _checked(getattr(ie, name), check))
            ie._parse_f4m_formats = _flash  # noqa: SLF001 - yt-dlp's extractors call it

    def build_request_director(self, *args: Any, **kwargs: Any) -> Any:
        """As in yt-dlp, but bodies of redirects are not read."""
        director = super().build_request_director(*args, **kwargs)
        handler = director.handlers["Requests"]
        create = handler._create_instance  # noqa: SLF001 - yt-dlp makes its sessions there, and offers no hook

        def created(**given: Any) -> Any:
            session = create(**given)
            session.hooks["response"].append(drop_redirect_body)
            return session

        handler._create_instance = created  # noqa: SLF001
        return director

    def urlopen(self, req: Any) -> Any:
        """As in yt-dlp, but for a limit on what is read at once."""
        SECRETS.learn_url(req if isinstance(req, str) else req.url)
        response = super().urlopen(req)
        SECRETS.learn_url(response.url)
        check_coding(response.headers)
        read, packed = response.read, getattr(response.fp, "tell", None)
        unpacking = Unpacking(packed) if packed is not None and is_coded(response.headers) else None

        def bounded(amount: int | None = None) -> bytes:
            most = MAX_PAGE_BYTES + 1 if amount is None or amount < 0 else amount
            if unpacking is None:
                content: bytes = read(most)
            else:
                content = _in_pieces(read, most, unpacking)
                if len(content) < most and packed is not None and packed() and not unpacked_whole(response.fp):
                    raise IncompleteRead(partial=len(content))
            if len(content) > MAX_PAGE_BYTES:
                raise too_large(MAX_PAGE_BYTES)
            return content

        response.read = bounded
        return response


def _flash(_manifest: Any, url: str, *_: Any, **__: Any) -> list[dict[str, Any]]:
    """A format that is the last to be chosen, and then refused: yt-dlp would write out, after all checks, thousands of
    millions of pieces for two numbers in a hundred bytes. Sites that still have such lists have others beside."""
    return [{"format_id": "flash", "url": url, "ext": "flv", "protocol": "f4m", "preference": -100}]


def _checked(parse: Callable[..., Any], check: Callable[[Any], None]) -> Callable[..., Any]:
    def checked(document: Any, *args: Any, **kwargs: Any) -> Any:
        check(document)
        return parse(document, *args, **kwargs)

    return checked


def _in_pieces(read: Callable[[int], bytes], most: int, unpacking: Unpacking) -> bytes:
    """What is left of a packed body, or ``most`` bytes of it; it ends early where it grows too much."""
    content = bytearray()
    while len(content) < most and (piece := read(min(BLOCK_BYTES, most - len(content)))):
        unpacking.took(len(piece))
        content += piece
    return bytes(content)


class _Hook:
    """yt-dlp's progress hook: how far it is, the byte limit, and the way to stop."""

    def __init__(self, tools: FetchTools, on_bytes: OnBytes) -> None:
        self._tools = tools
        self._on_bytes = on_bytes

    def __call__(self, status: dict[str, Any]) -> None:
        if self._tools.cancelled.is_set():
            raise stopped()
        if status.get("status") != "downloading":
            return
        received = int(status.get("downloaded_bytes") or 0)
        if received > self._tools.limits.max_bytes:
            raise too_large(self._tools.limits.max_bytes)
        self._on_bytes(received, share_of(status))


def share_of(status: dict[str, Any]) -> float | None:
    """Which share of a file is there: by its pieces where it has such, for estimates from a few pieces are wild."""
    index, count = status.get("fragment_index"), status.get("fragment_count")
    if count:
        return float(index or 0) / float(count)
    received, total = status.get("downloaded_bytes"), status.get("total_bytes") or status.get("total_bytes_estimate")
    return float(received or 0) / float(total) if total else None


class _Log:
    """yt-dlp's logger interface on ours. Its errors come as exceptions too, so they are not errors here."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def debug(self, message: str) -> None:
        """Screen and debug output."""
        self._log.debug("yt-dlp: %s", message)

    def warning(self, message: str) -> None:
        """Warnings, such as an old version."""
        self._log.warning("yt-dlp: %s", message)

    def error(self, message: str) -> None:
        """What is raised as well."""
        self._log.warning("yt-dlp: %s", message)
