"""Downloads what is behind a page, with yt-dlp as a library.

yt-dlp is given no ffmpeg, no cookies, no plugins, no configuration and no network but the proxy. It chooses one
format and fetches it; nothing is merged or converted here.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any, Final

import yt_dlp
import yt_dlp.globals
from yt_dlp.utils import YoutubeDLError

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetching import (
    UNKNOWN_EXTENSION,
    Fetched,
    FetchLimits,
    FetchTools,
    clean_title,
    describe_bytes,
    file_kind,
    path_extension,
    refused_error,
    stopped,
    too_large,
)
from audiojob_runner.ytdlp_errors import explain
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

SOCKET_SECONDS: Final = 20
RETRIES: Final = 3
# One file, sound alone where the site has it so: a merge would need ffmpeg.
FORMAT: Final = "bestaudio/best"
_NOT_YET: Final = frozenset({"is_live", "is_upcoming", "post_live"})


def knows(url: str) -> bool:
    """Whether yt-dlp has an extractor for this very site, without asking the network."""
    return any(
        extractor.suitable(url) for extractor in yt_dlp.extractor.gen_extractor_classes()
        if extractor.IE_NAME != "generic"
    )  # fmt: skip


def fetch(url: str, tools: FetchTools, log: logging.Logger) -> Fetched:
    """Download the one item behind ``url``. Raises :class:`PhaseError`."""
    yt_dlp.globals.plugin_dirs.value = []
    folder = tools.folder / "yt-dlp"
    folder.mkdir()
    try:
        with yt_dlp.YoutubeDL(options(folder, tools, log)) as downloader:
            info = _single(downloader, url)
            check(info, tools.limits)
            downloader.process_ie_result(info, download=True)
    except PhaseError:
        raise
    except (YoutubeDLError, OSError, ValueError) as error:
        # A broken-off fetch may be our own doing: then what the proxy says is the reason.
        raise refused_error(tools.refusals, tools.limits) or explain(error) from error
    return _collect(folder, info, tools)


def options(folder: Path, tools: FetchTools, log: logging.Logger) -> dict[str, Any]:
    """All that is set; what is not set here is off in yt-dlp's interface."""
    return {
        "proxy": tools.proxy_url,
        "format": FORMAT,
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
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": RETRIES,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "progress_hooks": [_Hook(tools)],
        "logger": _Log(log),
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
        "ignoreerrors": False,
        "updatetime": False,
        "check_formats": None,
    }


def check(info: dict[str, Any], limits: FetchLimits) -> None:
    """Refuse before any byte what is live, too long or too large. Raises :class:`PhaseError`."""
    if info.get("is_live") or info.get("live_status") in _NOT_YET:
        raise PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.SOURCE_UNAVAILABLE,
            "The source is live, or has not been broadcast yet.",
            "Create the job again when the broadcast is over and its recording is there.",
        )
    duration = info.get("duration")
    if isinstance(duration, int | float) and duration > limits.max_duration_seconds:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.TOO_LONG,
            f"The source plays {duration:.0f} s; at most {limits.max_duration_seconds} s are allowed.",
        )
    size = info.get("filesize")
    if isinstance(size, int) and size > limits.max_bytes:
        raise too_large(limits.max_bytes)


def _single(downloader: yt_dlp.YoutubeDL, url: str) -> dict[str, Any]:
    """Information about the one item, its format chosen. A list with one entry is that entry."""
    info = downloader.extract_info(url, download=False)
    if info and info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or [] if entry]
        if len(entries) > 1:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                "The source's address is a list of several items.",
                "Give the address of one item.",
            )
        info = downloader.process_ie_result(entries[0], download=False) if entries else None
    if not info or info.get("_type", "video") != "video":
        raise PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.SOURCE_UNAVAILABLE,
            "There is no audio or video at this address.",
            "Give the address of one audio or video file, or of a page with one.",
        )
    return dict(info)


def _collect(folder: Path, info: dict[str, Any], tools: FetchTools) -> Fetched:
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix not in (".part", ".ytdl")]
    if len(files) != 1:
        # yt-dlp skips a file above max_filesize with a message alone.
        refused = refused_error(tools.refusals, tools.limits)
        raise refused or (too_large(tools.limits.max_bytes) if not files else explain(OSError("several files")))
    size = files[0].stat().st_size
    if size > tools.limits.max_bytes:
        raise too_large(tools.limits.max_bytes)
    extension, media_type = file_kind("", path_extension(files[0].name) or UNKNOWN_EXTENSION)
    path = tools.folder / f"source.{extension}"
    files[0].rename(path)
    shutil.rmtree(folder, ignore_errors=True)
    tools.progress(100, f"Downloaded {describe_bytes(size)}")
    metadata: dict[str, Any] = {"extractor": str(info.get("extractor_key") or "")[:100]}
    if title := clean_title(info.get("title")):
        metadata["title"] = title
    duration = info.get("duration")
    if isinstance(duration, int | float):
        metadata["durationSeconds"] = float(duration)
    return Fetched(path, extension, media_type, metadata)


def _js_runtimes(name: str = "deno") -> dict[str, dict[str, str]]:
    """The JavaScript runtime from the ``deno`` package: a pod's PATH need not have it."""
    try:
        from deno import find_deno_bin  # noqa: PLC0415 - optional at run time

        return {name: {"path": os.fspath(find_deno_bin())}}
    except (ImportError, OSError):
        return {name: {}}


class _Hook:
    """yt-dlp's progress hook: percent, the byte limit, and the way to stop."""

    def __init__(self, tools: FetchTools) -> None:
        self._tools = tools

    def __call__(self, status: dict[str, Any]) -> None:
        if self._tools.cancelled.is_set():
            raise stopped()
        if status.get("status") != "downloading":
            return
        received = status.get("downloaded_bytes") or 0
        if received > self._tools.limits.max_bytes:
            raise too_large(self._tools.limits.max_bytes)
        total = status.get("total_bytes") or status.get("total_bytes_estimate") or 0
        percent = min(99.0, 100 * received / total) if total else 0.0
        self._tools.progress(percent, f"Downloaded {describe_bytes(received)}")


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
