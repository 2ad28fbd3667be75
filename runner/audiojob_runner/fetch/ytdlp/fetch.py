"""Downloads the media of a page with yt-dlp: each chosen format as a file, with subtitles, thumbnail and info."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yt_dlp
from yt_dlp.networking.exceptions import HTTPError

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import FetchTools, check_whole, describe_bytes, too_large
from audiojob_runner.fetch.mediainfo import alone, item_labels, plain_text
from audiojob_runner.fetch.progress import Percentage
from audiojob_runner.fetch.ytdlp import formats as ytformats
from audiojob_runner.fetch.ytdlp import session as ytdlp
from audiojob_runner.fetch.ytdlp.errors import causes
from audiojob_runner.fetch.ytdlp.extras import Extras, fetch_extras
from audiojob_runner.fetch.ytdlp.hls import parse_playlist
from audiojob_runner.fetch.ytdlp.record import MAX_PLAYLIST_BYTES, record
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.download import DownloadParameters

# Merging and converting take this share of the whole, where there is anything to do.
FINISH_SHARE: Final = 0.1
_NOT_YET: Final = frozenset({"is_upcoming", "post_live"})


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was fetched. ``files`` are the parts of the one source, the picture first; ``info`` is yt-dlp's own."""

    files: tuple[Path, ...]
    info: dict[str, Any]
    extras: Extras
    percentage: Percentage


def fetch(url: str, wanted: DownloadParameters, tools: FetchTools, log: logging.Logger) -> Gathered:
    """Download the one item behind ``url`` into ``tools.folder / "parts"``. Raises :class:`PhaseError`."""
    with ytdlp.attributed(url):
        return _with_fresh_addresses(url, wanted, tools, log)


def _with_fresh_addresses(url: str, wanted: DownloadParameters, tools: FetchTools, log: logging.Logger) -> Gathered:
    try:
        return _Fetch(wanted, tools, log, tools.folder / "parts").run(url)
    except PhaseError as error:
        if not _refused_media(error):
            raise
    # Addresses of media are made for one session and a short time. Once more with fresh ones, then it is not that.
    log.warning("the site refuses access to the media; requesting new addresses")
    try:
        return _Fetch(wanted, tools, log, tools.folder / "again").run(url)
    except PhaseError as error:
        if not _refused_media(error):
            raise
        raise PhaseError(
            ExitCode.TEMPORARY,
            Reason.EXTRACTOR_OUTDATED,
            "The site refuses access to the media (status 403).",
        ) from error


class _Fetch:
    """The steps of one attempt, and what they share."""

    def __init__(self, wanted: DownloadParameters, tools: FetchTools, log: logging.Logger, folder: Path) -> None:
        self._wanted = wanted
        self._tools = tools
        self._log = log
        self._folder = folder
        self._on_bytes: ytdlp.OnBytes = lambda _received, _share: None

    def run(self, url: str) -> Gathered:
        self._folder.mkdir()
        with self._session() as downloader:
            info = single(downloader, url)
            check_whole(self._tools)
            formats = check_formats(info, self._wanted)
            check_item(info, self._wanted, self._tools)
            live = self._look_into(downloader, info, formats)
            if live:
                formats = [whole_format(info, formats, self._wanted)]
            percentage = self._percentage(formats)
            files = tuple(
                self._fetch_part(downloader, each, index, percentage, live=live) for index, each in enumerate(formats)
            )
            self._on_bytes = lambda _received, _share: None
            extras = fetch_extras(downloader, info, self._wanted, self._tools)
        return Gathered(files, info, extras, percentage)

    def _session(self) -> Any:  # a context manager of yt-dlp's class, which has no types
        choice = ytformats.choice(self._wanted.format, self._wanted.container)
        more: dict[str, Any] = {"format": choice.selector, "format_sort": list(choice.sort)}
        if self._wanted.subtitles:
            more |= {
                "writesubtitles": True,
                "writeautomaticsub": self._wanted.automatic_subtitles,
                "subtitleslangs": list(self._wanted.subtitles),
                "subtitlesformat": "vtt/srt/best",
            }
        return ytdlp.session(self._folder, self._tools, self._log, more, self._hook)

    def _hook(self, received: int, share: float | None) -> None:
        self._on_bytes(received, share)

    def _percentage(self, formats: list[dict[str, Any]]) -> Percentage:
        busy = len(formats) > 1 or self._wanted.container != "original"
        return Percentage(ytformats.weights(formats), FINISH_SHARE if busy else 0.0, self._tools.progress)

    def _look_into(self, downloader: yt_dlp.YoutubeDL, info: dict[str, Any], formats: list[dict[str, Any]]) -> bool:
        """Hold the limits against what the formats list, and tell whether the source is live."""
        live = info.get("is_live") is True or info.get("live_status") == "is_live"
        for each in formats:
            if ytformats.is_unread(each):
                raise PhaseError(
                    ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, "The source is only there for Flash, which is not supported."
                )
            if str(each.get("protocol") or "").startswith("m3u8"):
                live = self._read_playlist(downloader, each) or live
            check_seconds(ytformats.played_seconds(each), self._wanted.max_duration_seconds)
        if live and not self._wanted.allow_live:
            raise live_error("The source is live.")
        return live

    def _read_playlist(self, downloader: yt_dlp.YoutubeDL, each: dict[str, Any]) -> bool:
        """Whether more is to come; the playlist stays with the format, so that it is fetched once."""
        text = each.get("hls_media_playlist_data")
        if not isinstance(text, str):
            answer = downloader.urlopen(yt_dlp.networking.Request(each["url"], headers=each.get("http_headers") or {}))
            with answer:
                text = answer.read(MAX_PLAYLIST_BYTES).decode("utf-8", "replace")
                each["url"] = answer.url
        playlist = parse_playlist(text, each["url"])
        if playlist is None:
            return False
        if playlist.ended:
            each["hls_media_playlist_data"] = text
            check_seconds(playlist.seconds, self._wanted.max_duration_seconds)
        return not playlist.ended

    def _fetch_part(
        self, downloader: yt_dlp.YoutubeDL, each: dict[str, Any], index: int, percentage: Percentage, *, live: bool
    ) -> Path:
        extension = str(each.get("ext") or "bin")
        path = self._folder / f"{index}.{extension if extension.isalnum() else 'bin'}"

        def on_bytes(received: int, share: float | None) -> None:
            percentage.part(index, share or 0.0, f"Downloaded {describe_bytes(received)}")

        self._on_bytes = on_bytes
        if live:
            record(downloader, each, path, self._wanted, self._tools, on_bytes)
        else:
            with _media_errors():
                done, _ = downloader.dl(str(path), each)
            check_whole(self._tools)
            if not done or not path.is_file():
                # yt-dlp skips a file above max_filesize with a message alone.
                raise too_large(self._tools.limits.max_bytes)
        received = sum(file.stat().st_size for file in self._folder.iterdir())
        if received > self._tools.limits.max_bytes:
            raise too_large(self._tools.limits.max_bytes)
        percentage.part(index, 1.0, f"Downloaded {describe_bytes(received)}")
        return path


def single(downloader: yt_dlp.YoutubeDL, url: str) -> dict[str, Any]:
    """Information about the one item, its formats chosen. A list with one entry is that entry."""
    info = downloader.extract_info(url, download=False)
    if info and info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or [] if entry]
        if len(entries) > 1:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                "The source's address is a list of several items.",
                "Give the address of one item; the pipeline inspect lists them.",
            )
        info = downloader.process_ie_result(entries[0], download=False) if entries else None
    if not info or info.get("_type", "video") != "video":
        raise PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.SOURCE_UNAVAILABLE,
            "There is no audio or video at this address.",
            "Give the address of one audio or video file, or of a page with one.",
        )
    return alone(info)


def check_item(info: dict[str, Any], wanted: DownloadParameters, tools: FetchTools) -> None:
    """Refuse before any byte what has not begun, is too long or too large. Raises :class:`PhaseError`."""
    if info.get("live_status") in _NOT_YET:
        raise live_error("The source has not been broadcast yet, or its recording is not ready.")
    check_seconds(ytformats.played_seconds(info), wanted.max_duration_seconds)
    sizes = [each.get("filesize") for each in ytformats.chosen(info)]
    if sum(size for size in sizes if isinstance(size, int)) > tools.limits.max_bytes:
        raise too_large(tools.limits.max_bytes)


def check_formats(info: dict[str, Any], wanted: DownloadParameters) -> list[dict[str, Any]]:
    """The chosen formats. Raises :class:`PhaseError` where a picture is wanted and there is none."""
    formats = ytformats.chosen(info)
    if wanted.format != "BestAudio" and not any(map(ytformats.has_video, formats)):
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.NOT_MEDIA,
            "The source has sound and no picture.",
            "Use format: BestAudio.",
        )
    return formats


def check_seconds(seconds: float | None, limit: int) -> None:
    """Raises :class:`PhaseError` for what plays longer than allowed."""
    if seconds is not None and seconds > limit:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.TOO_LONG,
            f"The source plays {seconds:.0f} s; at most {limit} s are allowed.",
        )


def whole_format(info: dict[str, Any], formats: list[dict[str, Any]], wanted: DownloadParameters) -> dict[str, Any]:
    """The one format of a live stream that is recorded: picture and sound of two would not begin together."""
    if len(formats) == 1:
        return formats[0]
    highest = ytformats.HEIGHTS.get(wanted.format, 100_000)
    whole = [
        each
        for each in info.get("formats") or []
        if "none" not in (each.get("vcodec"), each.get("acodec")) and (each.get("height") or 0) <= highest
    ]
    if not whole:
        raise live_error("The live stream has no format with both picture and sound.")
    general = {key: value for key, value in info.items() if key not in ("requested_formats", "formats")}
    return {**general, **whole[-1]}


def metadata(info: dict[str, Any]) -> dict[str, Any]:
    """What manifest and status tell of the source."""
    found: dict[str, Any] = {"extractor": str(info.get("extractor_key") or "")[:100]}
    found |= item_labels(info)
    if (seconds := ytformats.played_seconds(info)) is not None:
        found["durationSeconds"] = seconds
    if form := plain_text(info.get("format_id"), 200):
        found["format"] = form
    return found


def live_error(message: str) -> PhaseError:
    """The error for what is live and was not asked for as such, or cannot be recorded."""
    return PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.LIVE_NOT_ALLOWED, message)


def _refused_media(error: PhaseError) -> bool:
    # What our own proxy refused will not be better for being asked again.
    return error.reason is not Reason.BLOCKED_ADDRESS and any(
        isinstance(each, _ForbiddenMediaError) for each in causes(error)
    )


class _ForbiddenMediaError(OSError):
    """403 for an address of media that the site itself had given."""


@contextmanager
def _media_errors() -> Iterator[None]:
    """Marks a 403 that is met while a format is fetched, and not while a page is read."""
    try:
        yield
    except Exception as error:
        if any(isinstance(each, HTTPError) and each.status == 403 for each in causes(error)):
            raise _ForbiddenMediaError("403 for an address of media") from error
        raise
