"""Download: one media file from an address, unchanged or in the requested container format."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp
from audiojob_runner.fetch.assemble import Parts, assemble
from audiojob_runner.fetch.common import MEDIA_TYPES, Fetched, FetchLimits, FetchTools, check_url, path_extension
from audiojob_runner.fetch.mediainfo import chapters, tags
from audiojob_runner.fetch.session import SessionLimits, fetch_session
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.download import NO_BANDWIDTH_LIMIT, DownloadParameters

# Pages, scripts and the overhead of protocols come on top of the file itself.
OVERHEAD_BYTES: Final = 64 * 1024**2
OVERHEAD_SHARE: Final = 0.1
# Of the percentage, for a file that is converted after it was fetched.
CONVERT_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Found:
    """What was fetched, and what goes with it."""

    parts: Parts
    extras: list[TaskOutput] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` (an address, or a file of the store) to output ``source``, and what else was asked for."""
    assert isinstance(parameters, DownloadParameters)
    given = inputs.get("source")
    if given is not None and given.path is not None:
        return _pass_on(given, given.path, parameters, context)
    if given is None or given.url is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Download needs an input named 'source'.")
    host = check_url(given.url).hostname
    context.progress(0, f"Connecting to {host}")
    with fetch_session(_session_limits(parameters, context), context) as tools:
        found = _fetch(given.url, parameters, tools, context)
    for warning in found.warnings:
        context.log.warning("%s", warning)
    fetched = assemble(found.parts, parameters, context)
    # What the page says goes before what the file says of itself.
    metadata = {**fetched.metadata, **found.metadata}
    output = TaskOutput("source", fetched.path, fetched.media_type, metadata)
    # Only the host: the rest of an address may contain a token.
    described = {**metadata, "host": host, "ytDlp": version("yt-dlp")}
    if found.warnings:
        described["warnings"] = found.warnings
    return TaskResult(outputs=[output, *found.extras], metadata=described)


def _pass_on(given: TaskInput, path: Path, parameters: DownloadParameters, context: TaskContext) -> TaskResult:
    """An upload is in the store already: it becomes this phase's output, so that pipelines need not care."""
    size, limit = path.stat().st_size, _limits(parameters, context).max_bytes
    if size > limit:
        message = f"The upload has {size} bytes; at most {limit} are allowed."
        raise PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.TOO_LARGE, message)
    extension = path_extension(path.name)
    copy = context.work_dir / (f"source.{extension}" if extension else "source")
    shutil.copyfile(path, copy)
    media_type = given.media_type or (MEDIA_TYPES[extension] if extension else "application/octet-stream")
    context.progress(100 * (1 - _finish_share(parameters)), "Taken from the store")
    fetched = assemble(_one(Fetched(copy, extension or "", media_type, {}), parameters, context), parameters, context)
    output = TaskOutput("source", fetched.path, fetched.media_type, fetched.metadata)
    return TaskResult(outputs=[output], metadata={"upload": True})


def total_bytes(max_bytes: int) -> int:
    """What the proxy lets in for a file of at most ``max_bytes``."""
    return max_bytes + int(max_bytes * OVERHEAD_SHARE) + OVERHEAD_BYTES


def _fetch(url: str, parameters: DownloadParameters, tools: FetchTools, context: TaskContext) -> _Found:
    """A file's own address is fetched as it is; anything else is yt-dlp's."""
    parts = check_url(url)
    if path_extension(parts.path) is None:
        from audiojob_runner.fetch.ytdlp import session as ytdlp  # noqa: PLC0415 - takes a second to import, and files do not need it

        if ytdlp.knows(url):
            return _by_ytdlp(url, parameters, tools, context)
    fetched = plainhttp.fetch(parts, tools, pages=True)
    if fetched is None:
        return _by_ytdlp(url, parameters, tools, context)
    found = _Found(_one(fetched, parameters, context), metadata=fetched.metadata)
    if parameters.thumbnail or parameters.subtitles or parameters.info:
        found.warnings.append("This is a direct file link: no subtitles, thumbnail or info.")
    return found


def _by_ytdlp(url: str, parameters: DownloadParameters, tools: FetchTools, context: TaskContext) -> _Found:
    from audiojob_runner.fetch.ytdlp import fetch as ytfetch  # noqa: PLC0415
    from audiojob_runner.fetch.ytdlp import session as ytdlp  # noqa: PLC0415

    gathered = ytfetch.fetch(url, parameters, tools, context.log)
    info = gathered.info
    return _Found(
        parts=Parts(
            files=gathered.files,
            tags=tags(info),
            chapters=chapters(info),
            cover=next((each.path for each in gathered.extras.outputs if each.name == "thumbnail"), None),
            finish=gathered.percentage.finish,
        ),
        extras=gathered.extras.outputs,
        metadata=ytfetch.metadata(info),
        warnings=[*ytdlp.warnings(), *gathered.extras.warnings],
    )


def _one(fetched: Fetched, parameters: DownloadParameters, context: TaskContext) -> Parts:
    share = _finish_share(parameters)

    def finish(fraction: float, message: str) -> None:
        context.progress(100 * (1 - share * (1 - min(1.0, fraction))), message)

    return Parts(files=(fetched.path,), finish=finish, media_type=fetched.media_type)


def _finish_share(parameters: DownloadParameters) -> float:
    return 0.0 if parameters.container == "original" else CONVERT_SHARE


def _session_limits(parameters: DownloadParameters, context: TaskContext) -> SessionLimits:
    limits = _limits(parameters, context)
    bandwidth = parameters.max_bytes_per_second
    return SessionLimits(
        source=limits,
        total_bytes=total_bytes(limits.max_bytes),
        bytes_per_second=None if bandwidth == NO_BANDWIDTH_LIMIT else bandwidth,
        finish_share=_finish_share(parameters),
    )


def _limits(parameters: DownloadParameters, context: TaskContext) -> FetchLimits:
    return FetchLimits(
        max_bytes=min(parameters.max_bytes, context.limits.max_input_bytes or parameters.max_bytes),
        max_duration_seconds=min(
            parameters.max_duration_seconds,
            context.limits.max_duration_seconds or parameters.max_duration_seconds,
        ),
        max_seconds=parameters.timeout_seconds,
    )
