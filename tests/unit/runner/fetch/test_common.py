from __future__ import annotations

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import (
    FetchLimits,
    check_url,
    file_kind,
    host_of,
    is_media,
    path_extension,
    refused_error,
)
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.mp3",
        "HTTPS://EXAMPLE.com:8443/?a=b",
        "https://[2606:4700::1]/x",
        "http://xn--bcher-kva.example/",
    ],
)
def test_good_addresses_pass(url: str) -> None:
    assert check_url(url).geturl().lower() == url.lower()


@pytest.mark.parametrize(
    ("url", "part"),
    [
        pytest.param("file:///etc/passwd", "http", id="a local file"),
        pytest.param("ftp://example.com/a.mp3", "http", id="another protocol"),
        pytest.param("data:audio/wav;base64,AAAA", "http", id="data in the address"),
        pytest.param("concat:a|b", "http", id="one of ffmpeg's protocols"),
        pytest.param("ytsearch10:song", "http", id="a search of yt-dlp"),
        pytest.param("--exec=id", "http", id="an option of yt-dlp"),
        pytest.param("song.mp3", "http", id="a file name"),
        pytest.param("", "http", id="nothing"),
        pytest.param("http:///a.mp3", "no host", id="no host"),
        pytest.param("http://user:secret@example.com/", "user name or password", id="credentials"),
        pytest.param("http://user@example.com/", "user name or password", id="a user name"),
        pytest.param("http://example.com/a b", "spaces", id="a space"),
        pytest.param("http://example.com/\r\nHost: x", "control", id="a line break"),
        pytest.param("http://example.com:port/", "not a valid URL", id="a port that is no number"),
        pytest.param("http://[::1/", "not a valid URL", id="a broken IPv6 address"),
        pytest.param("http://example.com/" + "a" * 2_048, "longer than", id="an endless address"),
    ],
)
def test_bad_addresses_are_named_and_not_repeated(url: str, part: str) -> None:
    with pytest.raises(PhaseError) as caught:
        check_url(url)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)
    assert part in caught.value.message
    assert "secret" not in caught.value.message


def test_a_port_of_another_service_is_blocked() -> None:
    with pytest.raises(PhaseError) as caught:
        check_url("http://example.com:25/")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.BLOCKED_ADDRESS, Reason.BLOCKED_ADDRESS)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/a/song.mp3", "mp3"), ("/a/SONG.FLAC", "flac"), ("/a/my%20song.wav", "wav"), ("/a.mp3/", "mp3"),
        ("/a/song.mp3.exe", None), ("/a/list.m3u8", None), ("/watch", None), ("", None), ("/.mp3", None),
    ],
)  # fmt: skip
def test_extension_of_a_path(path: str, want: str | None) -> None:
    assert path_extension(path) == want


@pytest.mark.parametrize(
    ("content_type", "extension", "want"),
    [
        pytest.param("audio/mpeg", None, True, id="the server says audio"),
        pytest.param("video/mp4", None, True, id="the server says video"),
        pytest.param("application/ogg", None, True, id="ogg under its old type"),
        pytest.param("application/octet-stream", "mp3", True, id="the server does not know, the name does"),
        pytest.param("text/plain", "mp3", True, id="the server is wrong, the name decides"),
        pytest.param("", "mp3", True, id="the server says nothing, the name decides"),
        pytest.param("text/html", "ogg", False, id="a page about a file has the file's name"),
        pytest.param("text/html", None, False, id="a page"),
        pytest.param("application/octet-stream", None, False, id="nobody knows"),
        pytest.param("audio/x-mpegurl", None, False, id="a playlist that calls itself audio"),
        pytest.param("application/vnd.apple.mpegurl", "mp4", False, id="a playlist named like a film"),
    ],
)
def test_what_is_the_file_itself(content_type: str, extension: str | None, want: bool) -> None:
    assert is_media(content_type, extension) is want


@pytest.mark.parametrize(
    ("content_type", "extension", "want"),
    [
        pytest.param("audio/mpeg", None, ("mp3", "audio/mpeg"), id="from the type"),
        pytest.param("audio/mpeg", "wav", ("mp3", "audio/mpeg"), id="the type wins over the name"),
        pytest.param("audio/ogg", "oga", ("oga", "audio/ogg"), id="another name of the same kind is kept"),
        pytest.param("text/plain", "flac", ("flac", "audio/flac"), id="from the name"),
        pytest.param("audio/unheard-of", None, ("bin", "application/octet-stream"), id="unknown"),
    ],
)
def test_how_a_file_is_stored(content_type: str, extension: str | None, want: tuple[str, str]) -> None:
    assert file_kind(content_type, extension) == want


@pytest.mark.parametrize(
    ("refusals", "code", "reason"),
    [
        pytest.param([Refusal.BLOCKED], 69, Reason.BLOCKED_ADDRESS, id="blocked"),
        pytest.param([Refusal.NO_SUCH_HOST], 66, Reason.SOURCE_UNAVAILABLE, id="no such host"),
        pytest.param([Refusal.UNRESOLVED], 75, Reason.DNS_ERROR, id="the resolver is down"),
        pytest.param([Refusal.UNREACHABLE], 75, Reason.TEMPORARY_FAILURE, id="unreachable"),
        pytest.param([Refusal.TOO_LONG], 75, Reason.TOO_SLOW, id="out of time"),
        pytest.param([Refusal.TOO_SLOW], 75, Reason.TOO_SLOW, id="a trickle"),
        pytest.param([Refusal.UPSTREAM], 75, Reason.TEMPORARY_FAILURE, id="the administrator's proxy is down"),
        pytest.param([Refusal.TOO_MUCH], 65, Reason.TOO_LARGE, id="too much"),
        pytest.param([Refusal.UNREACHABLE, Refusal.BLOCKED], 69, Reason.BLOCKED_ADDRESS, id="blocked is the gravest"),
    ],
)
def test_what_the_proxy_refused_is_the_reason(refusals: list[Refusal], code: int, reason: Reason) -> None:
    error = refused_error([RefusedError(each, "h", "Detail") for each in refusals], FetchLimits(10, 10, 10))
    assert error is not None
    assert (error.exit_code, error.reason) == (code, reason)


def test_without_refusals_the_proxy_has_nothing_to_say() -> None:
    assert refused_error([], FetchLimits(10, 10, 10)) is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        pytest.param("https://Media.Example.org:8443/a?b", "media.example.org", id="a name"),
        pytest.param("https://media.example.org./a", "media.example.org", id="a final dot"),
        pytest.param("http://[2001:DB8::1]/a", "2001:db8::1", id="an IPv6 address"),
        pytest.param("http://[2001:db8::1/a", None, id="no address"),
        pytest.param("http://a b/", None, id="no name"),
        pytest.param("/a.mp3", None, id="a path"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_the_host_that_answered(address: str | None, host: str | None) -> None:
    assert host_of(address) == host
