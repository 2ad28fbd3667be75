"""Optional extras of a source: its thumbnail, subtitles and information.

None of them fails a download: one that cannot be downloaded becomes a warning. All use the egress proxy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yt_dlp
from yt_dlp.networking import Request
from yt_dlp.utils import YoutubeDLError

from audiojob_runner.errors import is_disk_full, stopped
from audiojob_runner.fetch.common import FetchTools
from audiojob_runner.fetch.mediainfo import describe_item
from audiojob_runner.media.tags.pictures import picture_kind
from audiojob_runner.task import TaskOutput
from audiojob_types.tasks.download import DownloadParameters

MAX_PICTURE_BYTES: Final = 20 * 1024**2
MAX_SUBTITLE_BYTES: Final = 20 * 1024**2
MAX_PICTURE_TRIES: Final = 3
_SUBTITLES: Final = {
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "ass": "text/x-ssa",
    "ttml": "application/ttml+xml",
}


class _UnusableError(Exception):
    """Why one of them is left out: a clause."""


@dataclass(slots=True)
class Extras:
    """Further outputs of the download, and what could not be had."""

    outputs: list[TaskOutput] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def fetch_extras(
    downloader: yt_dlp.YoutubeDL, info: dict[str, Any], wanted: DownloadParameters, tools: FetchTools
) -> Extras:
    """What ``wanted`` asks for besides the source itself. Raises :class:`PhaseError` when stopped."""
    extras = Extras()
    if wanted.info:
        path = tools.folder / "info.json"
        path.write_text(json.dumps(describe_item(info), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        extras.outputs.append(TaskOutput("info", path, "application/json"))
    if wanted.thumbnail:
        with _leaving_out("The thumbnail", extras, tools):
            extras.outputs.append(_picture(downloader, info, tools))
    found = info.get("requested_subtitles") or {}
    for language in wanted.subtitles:
        with _leaving_out(f"The subtitles in {language}", extras, tools):
            extras.outputs.append(_subtitle(downloader, info, found.get(language), language, tools))
    return extras


@contextmanager
def _leaving_out(what: str, extras: Extras, tools: FetchTools) -> Iterator[None]:
    known = len(tools.refusals)
    try:
        yield
    except (YoutubeDLError, OSError, ValueError, _UnusableError) as error:
        if tools.cancelled.is_set():
            raise stopped() from error
        if is_disk_full(error):
            raise
        refused = [each.detail for each in tools.refusals[known:]]
        why = refused[0] if refused else str(error) if isinstance(error, _UnusableError) else type(error).__name__
        extras.warnings.append(f"{what} could not be downloaded: {why[:200]}.")
        # What was refused here says nothing about the source itself.
        del tools.refusals[known:]


def _picture(downloader: yt_dlp.YoutubeDL, info: dict[str, Any], tools: FetchTools) -> TaskOutput:
    listed = [each.get("url") for each in info.get("thumbnails") or [] if isinstance(each, Mapping)]
    addresses = [address for address in listed if isinstance(address, str)][-MAX_PICTURE_TRIES:]
    problem: Exception = _UnusableError("the source has none")
    for address in reversed(addresses):  # yt-dlp puts the best one last
        try:
            content = _read(downloader, address, info.get("http_headers"), MAX_PICTURE_BYTES)
        except (YoutubeDLError, OSError, ValueError, _UnusableError) as error:
            problem = error
            continue
        kind = picture_kind(content)
        if kind is not None:
            path = tools.folder / f"thumbnail.{kind.extension}"
            path.write_bytes(content)
            return TaskOutput("thumbnail", path, kind.media_type)
        problem = _UnusableError("it is no JPEG, PNG or WebP")
    raise problem


def _subtitle(
    downloader: yt_dlp.YoutubeDL, info: dict[str, Any], found: object, language: str, tools: FetchTools
) -> TaskOutput:
    if not isinstance(found, Mapping):
        raise _UnusableError("the source has none")
    extension = str(found.get("ext"))
    if extension not in _SUBTITLES:
        raise _UnusableError("they have no form that is known here")
    name = f"subtitles-{language.lower()}"
    path = tools.folder / f"{name}.{extension}"
    data = found.get("data")
    if isinstance(data, str):
        content = data.encode("utf-8", "replace")
        if len(content) > MAX_SUBTITLE_BYTES:
            raise _UnusableError("they are too large")
        path.write_bytes(content)
    elif str(found.get("protocol") or "").startswith("m3u8"):
        _by_pieces(downloader, {**info, **found}, path, tools)
    else:
        headers = found.get("http_headers") or info.get("http_headers")
        path.write_bytes(_read(downloader, str(found.get("url")), headers, MAX_SUBTITLE_BYTES))
    return TaskOutput(name, path, _SUBTITLES[extension], {"language": language})


def _by_pieces(downloader: yt_dlp.YoutubeDL, found: dict[str, Any], path: Path, tools: FetchTools) -> None:
    """Subtitles that are a playlist. yt-dlp puts them together in a folder of its own."""
    temporary = tools.folder / "parts" / path.name
    temporary.parent.mkdir(exist_ok=True)
    general = {key: value for key, value in found.items() if key not in ("requested_formats", "formats")}
    downloader.dl(str(temporary), general, subtitle=True)
    if temporary.stat().st_size > MAX_SUBTITLE_BYTES:
        raise _UnusableError("they are too large")
    temporary.rename(path)


def _read(downloader: yt_dlp.YoutubeDL, address: str, headers: object, limit: int) -> bytes:
    if not address.lower().startswith(("http://", "https://")):
        raise _UnusableError("its address is not http or https")
    request = Request(address, headers=headers if isinstance(headers, dict) else {})
    with downloader.urlopen(request) as answer:
        read: Callable[[int], bytes] = answer.read
        content = read(limit + 1)
    if len(content) > limit:
        raise _UnusableError(f"it has more than {limit} bytes")
    return content
