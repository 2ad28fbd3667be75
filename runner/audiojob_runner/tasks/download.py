"""Download: one media file from an address into the store, unchanged."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from audiojob_runner import plainhttp
from audiojob_runner.addresses import Network, parse_networks
from audiojob_runner.errors import PhaseError
from audiojob_runner.fetching import MEDIA_TYPES, Fetched, FetchLimits, FetchTools, check_url, path_extension
from audiojob_runner.proxy import FetchProxy
from audiojob_runner.tasks.api import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode, PhaseNetwork
from audiojob_types.parameters import DownloadParameters
from audiojob_types.reasons import Reason

# Pages, scripts and the overhead of protocols come on top of the file itself.
OVERHEAD_BYTES: Final = 64 * 1024**2
OVERHEAD_SHARE: Final = 0.1


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` (an address) to output ``source`` (the file, under its real extension)."""
    assert isinstance(parameters, DownloadParameters)
    given = inputs.get("source")
    if given is not None and given.path is not None:
        return _pass_on(given, given.path, parameters, context)
    if given is None or given.url is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Download needs an input named 'source'.")
    url = given.url
    host = check_url(url).hostname
    limits = _limits(parameters, context)
    exceptions = _exceptions(context.network)
    context.progress(0, f"Connecting to {host}")
    with FetchProxy(exceptions, total_bytes(limits.max_bytes), context.log) as proxy:
        tools = FetchTools(
            folder=context.work_dir,
            proxy_url=proxy.url,
            refusals=proxy.refusals,
            limits=limits,
            progress=context.progress,
            cancelled=context.cancelled,
        )
        fetched = _fetch(url, tools, context)
    output = TaskOutput(name="source", path=fetched.path, media_type=fetched.media_type, metadata=fetched.metadata)
    # The host alone: the rest of an address may hold somebody's token.
    return TaskResult(outputs=[output], metadata={**fetched.metadata, "host": host, "ytDlp": version("yt-dlp")})


def _pass_on(given: TaskInput, path: Path, parameters: DownloadParameters, context: TaskContext) -> TaskResult:
    """An upload is in the store already: it becomes this phase's output, so that pipelines need not care."""
    size, limit = path.stat().st_size, _limits(parameters, context).max_bytes
    if size > limit:
        message = f"The upload has {size} bytes; at most {limit} are allowed."
        raise PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.TOO_LARGE, message)
    extension = path_extension(path.name)
    copy = context.work_dir / (f"source.{extension}" if extension else "source")
    shutil.copyfile(path, copy)
    context.progress(100, "Taken from the store")
    media_type = given.media_type or (MEDIA_TYPES[extension] if extension else "application/octet-stream")
    return TaskResult(outputs=[TaskOutput("source", copy, media_type, {})], metadata={"upload": True})


def total_bytes(max_bytes: int) -> int:
    """What the proxy lets in for a file of at most ``max_bytes``."""
    return max_bytes + int(max_bytes * OVERHEAD_SHARE) + OVERHEAD_BYTES


def _fetch(url: str, tools: FetchTools, context: TaskContext) -> Fetched:
    """A file's own address is fetched as it is; anything else is yt-dlp's."""
    parts = check_url(url)
    if path_extension(parts.path) is None:
        from audiojob_runner import ytdlp  # noqa: PLC0415 - takes a second to import, and files do not need it

        if ytdlp.knows(url):
            return ytdlp.fetch(url, tools, context.log)
    fetched = plainhttp.fetch(parts, tools, pages=True)
    if fetched is not None:
        return fetched
    from audiojob_runner import ytdlp  # noqa: PLC0415

    return ytdlp.fetch(url, tools, context.log)


def _limits(parameters: DownloadParameters, context: TaskContext) -> FetchLimits:
    return FetchLimits(
        max_bytes=min(parameters.max_bytes, context.limits.max_input_bytes or parameters.max_bytes),
        max_duration_seconds=min(
            parameters.max_duration_seconds,
            context.limits.max_duration_seconds or parameters.max_duration_seconds,
        ),
    )


def _exceptions(network: PhaseNetwork) -> tuple[Network, ...]:
    try:
        return parse_networks(network.allowed_cidrs)
    except ValueError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The administrator's network exceptions are not valid: {error}.",
            "Ask the administrator to correct fetch.allowedCIDRs.",
        ) from error
