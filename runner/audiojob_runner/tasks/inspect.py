"""Inspect: describes what is at an address as JSON, without downloading it. Playlists are listed flat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp
from audiojob_runner.fetch.common import (
    FetchLimits,
    FetchTools,
    check_url,
    check_whole,
    file_kind,
    is_media,
    path_extension,
)
from audiojob_runner.fetch.mediainfo import alone, describe_item, describe_list
from audiojob_runner.fetch.session import SessionLimits, fetch_session
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.inspect import InspectParameters

# All pages and scripts that finding out may take.
MAX_BYTES: Final = 64 * 1024**2
_SHOWN: Final = ("kind", "title", "durationSeconds", "liveStatus", "truncated", "entriesInAll", "bytes", "mediaType")


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` (an address, or a file of the store) to output ``info``."""
    assert isinstance(parameters, InspectParameters)
    given = inputs.get("source")
    if given is None or (given.url is None and given.path is None):
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Inspect needs an input named 'source'.")
    warnings: list[str] = []
    if given.path is not None:
        found = _describe_upload(given, given.path)
    else:
        found, warnings = _look(str(given.url), parameters, context)
    for warning in warnings:
        context.log.warning("%s", warning)
    path = context.work_dir / "info.json"
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    context.progress(100, "Looked at")
    shown: dict[str, Any] = {key: found[key] for key in _SHOWN if key in found}
    if "entries" in found:
        shown["entries"] = len(found["entries"])
    metadata = {**shown, "ytDlp": version("yt-dlp"), **({"warnings": warnings} if warnings else {})}
    return TaskResult(outputs=[TaskOutput("info", path, "application/json", shown)], metadata=metadata)


def _look(url: str, parameters: InspectParameters, context: TaskContext) -> tuple[dict[str, Any], list[str]]:
    parts = check_url(url)
    context.progress(0, f"Asking {parts.hostname}")
    limits = FetchLimits(MAX_BYTES, max_duration_seconds=2**31, max_seconds=parameters.timeout_seconds)
    with fetch_session(SessionLimits(limits, MAX_BYTES), context) as tools:
        if path_extension(parts.path) is None:
            from audiojob_runner.fetch.ytdlp import session as ytdlp  # noqa: PLC0415 - takes a second to import, and files do not need it

            if ytdlp.knows(url):
                return _by_ytdlp(url, parameters, tools, context)
        file = _describe_file(url, tools)
        return (file, []) if file is not None else _by_ytdlp(url, parameters, tools, context)


def _describe_file(url: str, tools: FetchTools) -> dict[str, Any] | None:
    """What the head of the answer says of a file; None for a page."""
    with plainhttp.translated(tools), plainhttp.get(url, tools, {}) as response:
        head = plainhttp.FileHead.read(response)
        if not is_media(head.content_type, head.extension):
            return None
        extension, media_type = file_kind(head.content_type, head.extension)
        found: dict[str, Any] = {"kind": "File", "mediaType": media_type, "extension": extension}
        if head.length is not None:
            found["bytes"] = head.length
        return found


def _describe_upload(given: TaskInput, path: Path) -> dict[str, Any]:
    extension, media_type = file_kind("", path_extension(path.name))
    return {
        "kind": "File",
        "mediaType": given.media_type or media_type,
        "extension": extension,
        "bytes": path.stat().st_size,
    }


def _by_ytdlp(
    url: str, parameters: InspectParameters, tools: FetchTools, context: TaskContext
) -> tuple[dict[str, Any], list[str]]:
    from audiojob_runner.fetch.ytdlp import session as ytdlp  # noqa: PLC0415

    folder = tools.folder / "parts"
    folder.mkdir()
    # One more than is listed, to know whether there are others.
    more = {"playlist_items": f"1:{parameters.max_entries + 1}"}
    with ytdlp.attributed(url), ytdlp.session(folder, tools, context.log, more) as downloader:
        info = downloader.extract_info(url, download=False)
        check_whole(tools)
        if not info:
            raise PhaseError(
                ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, "There is no audio or video at this address."
            )
        listed = info.get("_type") in ("playlist", "multi_video")
        found = describe_list(info, parameters.max_entries) if listed else describe_item(alone(info))
    return found, ytdlp.warnings()
