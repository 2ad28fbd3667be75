"""Rows B12-B22 and F43: addresses and servers that mean no good, or can do no better."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Handler, Web, drip, ranged, reset

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp
from audiojob_runner.fetch.egress import rates
from audiojob_runner.fetch.partial.transfer import MAX_REDIRECTS, PIECE_BYTES
from audiojob_types.contract import ExitCode, FailureClass, classify_exit_code
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

# yt-dlp leaves answers and half-written files open when it raises. Ours are closed: any other test fails for them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback", "secret_address"),
]
HTML: dict[str, Any] = {"Content_Type": "text/html; charset=utf-8"}
SONG: dict[str, Any] = {"Content_Type": "audio/mpeg"}
HLS: dict[str, Any] = {"Content_Type": "application/vnd.apple.mpegurl"}
MEBIBYTE = 1024**2


def failure(bench: Bench, url: str, task: Task = Task.DOWNLOAD, **parameters: Any) -> PhaseError:
    with pytest.raises(PhaseError) as caught:
        bench.run(task, url, **parameters)
    assert caught.value.suggestion
    return caught.value


def on_disk(bench: Bench) -> int:
    return sum(path.stat().st_size for path in bench.work.rglob("*") if path.is_file())


def page_with(web: Web, address: str) -> str:
    text = f"<html><head><title>x</title></head><body><audio src='{address}'></audio></body></html>"
    return web.serve("/page", text.encode(), **HTML)


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/a.mp3", "data:audio/mpeg,x", "javascript:alert(1)", "concat:a|b", "pipe:0"],
)
def test_B12_other_schemes_are_no_address(bench: Bench, url: str, task: Task) -> None:  # noqa: N802
    error = failure(bench, url, task)
    assert (error.exit_code, error.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "100.64.0.1"])
def test_B13_addresses_of_the_cloud_are_blocked(bench: Bench, host: str, task: Task) -> None:  # noqa: N802
    error = failure(bench, f"http://{host}/latest/meta-data/", task)
    assert (error.exit_code, error.reason) == (ExitCode.BLOCKED_ADDRESS, Reason.BLOCKED_ADDRESS)


@pytest.mark.parametrize("host", ["2130706434", "0x7f.2", "127.2", "[::ffff:7f00:2]", "0177.0.0.2"])
def test_B14_no_spelling_of_a_private_address_passes(bench: Bench, canary: Web, host: str) -> None:  # noqa: N802
    error = failure(bench, f"http://{host}:{canary.server_address[1]}/secret.mp3")
    assert (error.exit_code, error.reason) == (ExitCode.BLOCKED_ADDRESS, Reason.BLOCKED_ADDRESS)


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize(
    ("hops", "reason"),
    [
        pytest.param(1, Reason.BLOCKED_ADDRESS, id="one redirect into the network"),
        pytest.param(5, Reason.BLOCKED_ADDRESS, id="five redirects into the network"),
        pytest.param(30, Reason.TOO_MANY_REDIRECTS, id="thirty redirects"),
        pytest.param(0, Reason.TOO_MANY_REDIRECTS, id="a loop"),
    ],
)
def test_B15_redirects_end_at_private_addresses_and_at_a_number(  # noqa: N802
    bench: Bench, web: Web, canary: Web, hops: int, reason: Reason, task: Task
) -> None:
    for hop in range(hops):
        web.serve(f"/{hop}.mp3", b"", 301, Location=f"/{hop + 1}.mp3")
    last = f"{canary.url}/secret.mp3" if reason is Reason.BLOCKED_ADDRESS else "/loop.mp3"
    web.serve("/loop.mp3", b"", 302, Location="/loop.mp3")
    if hops <= MAX_REDIRECTS:
        web.serve(f"/{max(0, hops - 1)}.mp3", b"", 301, Location=last)
    assert failure(bench, f"{web.url}/0.mp3", task).reason is reason


@pytest.mark.parametrize("way", ["a file", "a page", "a segment", "a song of a page"])
def test_B16_a_name_that_changes_its_address_reaches_nothing_inside(  # noqa: N802
    bench: Bench, web: Web, canary: Web, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The name is public when it is asked the first time, and private ever after."""
    real = socket.getaddrinfo
    answers = iter(["127.0.0.1"])

    def rebinding(host: str, *rest: Any, **more: Any) -> Any:
        return real(next(answers, "127.0.0.2") if host == "rebind.example" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    inside = f"http://rebind.example:{canary.server_address[1]}"
    next(answers)
    listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{inside}/secret.mp3\n#EXT-X-ENDLIST\n"
    urls = {
        "a file": f"{inside}/secret.mp3",
        "a page": f"{inside}/page",
        "a segment": web.serve("/list.m3u8", listed.encode(), **HLS),
        "a song of a page": page_with(web, f"{inside}/secret.mp3"),
    }
    error = failure(bench, urls[way])
    assert (error.exit_code, error.reason) == (ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE)
    assert error.message == "There is no public host named rebind.example."


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize("way", ["a file", "a page", "a redirect"])
def test_a_name_of_a_service_is_answered_like_one_that_does_not_exist(
    bench: Bench, web: Web, canary: Web, monkeypatch: pytest.MonkeyPatch, way: str, task: Task
) -> None:
    real = socket.getaddrinfo
    found: list[tuple[object, ...]] = []

    def lookup(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith("none.example.org"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.2" if host.endswith("real.example.org") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    for name in ("none", "real"):
        url = f"http://{name}.example.org:{canary.server_address[1]}/{'x' if way == 'a page' else 'secret.mp3'}"
        if way == "a redirect":
            url = web.serve(f"/{name}.mp3", b"", 302, Location=url)
        error = failure(bench, url, task)
        told = error.message.replace(name, "NAME")
        found.append((error.exit_code, error.reason, told, error.suggestion, error.retry_after_seconds))
    assert found[0] == found[1]
    assert "spelling" in str(found[0][3]), "whoever mistyped a name is helped"


@pytest.mark.parametrize("way", ["a track of a page", "a redirect", "a stream's rendition", "a piece of a rendition"])
def test_B16_subtitles_inside_the_network_are_left_out_and_told(  # noqa: N802
    bench: Bench, web: Web, canary: Web, sounds: Path, way: str
) -> None:
    """The file itself is good: it is downloaded, and the manifest says what is missing."""
    secret = f"{canary.url}/secret.vtt"
    pieces = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n"
    web.serve("/film.mp4", (sounds / "film.mp4").read_bytes(), Content_Type="video/mp4")
    web.serve("/away.vtt", b"", 302, Location=secret)
    web.serve("/pieces.m3u8", pieces.format(secret).encode(), **HLS)
    web.serve("/list.m3u8", pieces.format("/film.mp4").encode(), **HLS)
    subtitles = {
        "a track of a page": secret,
        "a redirect": "/away.vtt",
        "a stream's rendition": f"{canary.url}/secret.m3u8",
        "a piece of a rendition": "/pieces.m3u8",
    }[way]
    if "rendition" in way:
        group = f'TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="{subtitles}"'
        text = f'#EXTM3U\n#EXT-X-MEDIA:{group}\n#EXT-X-STREAM-INF:BANDWIDTH=90000,SUBTITLES="s"\n/list.m3u8\n'
        url = web.serve("/master.m3u8", text.encode(), **HLS)
    else:
        track = f"<track kind='subtitles' srclang='en' src='{subtitles}'>"
        text = f"<html><head><title>x</title></head><body><video src='/film.mp4'>{track}</video></body></html>"
        url = web.serve("/page", text.encode(), **HTML)
    result = bench.run(Task.DOWNLOAD, url, subtitles=["en"])
    assert [output.name for output in result.outputs] == ["source"]
    told = "The subtitles in en could not be downloaded: 127.0.0.2 is a private or local address."
    assert result.metadata["warnings"][-1] == told


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://user:secret@example.com/a.mp3", Reason.INVALID_SPEC, id="a password"),
        pytest.param("http://example.com:22/a.mp3", Reason.BLOCKED_ADDRESS, id="port 22"),
        pytest.param("http://example.com/" + "a" * 64_000, Reason.INVALID_SPEC, id="64 kB"),
        pytest.param("http://example.com/a\r\nHost: x", Reason.INVALID_SPEC, id="a line break"),
    ],
)
def test_B17_odd_addresses_are_refused_and_passwords_are_not_repeated(  # noqa: N802
    bench: Bench, caplog: pytest.LogCaptureFixture, url: str, reason: Reason
) -> None:
    error = failure(bench, url)
    assert error.reason is reason
    assert "secret" not in error.message + caplog.text


@pytest.mark.parametrize("url", ["--exec=id", "ytsearch100000:x", "ytsearch:x", ":ytfav", "-"])
@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
def test_B18_options_and_searches_are_no_address(bench: Bench, url: str, task: Task) -> None:  # noqa: N802
    assert failure(bench, url, task).reason is Reason.INVALID_SPEC


def feed(web: Web, entries: int, link: str = "{base}/{number}.mp3") -> str:
    """A podcast's feed, which yt-dlp takes for a playlist."""
    items = "".join(
        f"<item><title>Song {number}</title><link>{link.format(base=web.url, number=number)}</link></item>"
        for number in range(entries)
    )
    text = f"<?xml version='1.0'?><rss version='2.0'><channel><title>Songs</title>{items}</channel></rss>"
    return web.serve("/feed", text.encode(), Content_Type="application/rss+xml")


def test_B19_a_list_of_100000_entries_is_looked_at_up_to_a_number(bench: Bench, web: Web) -> None:  # noqa: N802
    result = bench.run(Task.INSPECT, feed(web, 100_000), maxEntries=50)
    found = json.loads(result.outputs[0].path.read_text())
    assert (found["kind"], len(found["entries"]), found["truncated"]) == ("List", 50, True)
    assert found["entries"][49] == {"title": "Song 49", "address": f"{web.url}/49.mp3"}
    assert {path for path, _ in web.asked} == {"/feed"}
    assert result.metadata["truncated"] is True


def test_B19_a_list_within_itself_is_not_followed(bench: Bench, web: Web) -> None:  # noqa: N802
    found = json.loads(bench.run(Task.INSPECT, feed(web, 3, "{base}/feed")).outputs[0].path.read_text())
    assert (len(found["entries"]), found["truncated"]) == (3, False)
    assert len(web.asked) <= 4


def test_B19_a_list_is_never_downloaded_by_accident(bench: Bench, web: Web) -> None:  # noqa: N802
    error = failure(bench, feed(web, 1_000))
    assert (error.exit_code, error.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)
    assert "several" in error.message
    assert {path for path, _ in web.asked} == {"/feed"}


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
def test_B20_one_byte_a_second_is_given_up(  # noqa: N802
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    monkeypatch.setattr(rates, "STALL_SECONDS", 0.5)

    def answer(handler: Handler) -> None:
        if len(web.asked) == 1:  # the first look tells a page, so that yt-dlp reads the second
            handler.answer(200, b"<html></html>", **HTML)
        else:
            drip(handler, 30, "text/html")

    web.routes["/page"] = answer
    error = failure(bench, f"{web.url}/page", task)
    assert (error.exit_code, error.reason) == (ExitCode.TEMPORARY, Reason.TOO_SLOW)


def lying(told: int, sent: bytes) -> Any:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("Content-Length", str(told))
        handler.end_headers()
        handler.wfile.write(sent)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize("by", ["a file", "a page"])
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        pytest.param(10_000, Reason.TEMPORARY_FAILURE, id="more than is sent"),
        pytest.param(10 * 1024**4, Reason.TOO_LARGE, id="ten terabytes"),
    ],
)
def test_B21_a_length_that_lies(  # noqa: N802
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, by: str, told: int, reason: Reason
) -> None:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)
    web.routes["/a.mp3"] = lying(told, bytes(4_000))
    url = f"{web.url}/a.mp3" if by == "a file" else page_with(web, "/a.mp3")
    error = failure(bench, url, maxBytes=MEBIBYTE)
    assert error.reason is reason
    assert on_disk(bench) <= MEBIBYTE


def test_B21_what_is_sent_beyond_the_told_length_is_not_taken(bench: Bench, web: Web) -> None:  # noqa: N802
    web.routes["/a.mp3"] = lying(1_000, bytes(3_000))
    assert bench.run(Task.DOWNLOAD, f"{web.url}/a.mp3").outputs[0].path.stat().st_size == 1_000


@pytest.mark.parametrize("by", ["a file", "a page", "a song of a page", "a playlist"])
def test_B21_a_compressed_bomb_stays_within_the_limit(bench: Bench, web: Web, by: str) -> None:  # noqa: N802
    bomb = gzip.compress(b"#EXTM3U\n" + bytes(200 * MEBIBYTE))
    kinds = {"a page": HTML, "a playlist": HLS}
    name = "/a.m3u8" if by == "a playlist" else "/bomb" if by == "a page" else "/a.mp3"
    url = web.serve(name, bomb, Content_Encoding="gzip", **kinds.get(by, SONG))
    if by == "a song of a page":
        url = page_with(web, "/a.mp3")
    error = failure(bench, url, maxBytes=MEBIBYTE)
    assert (error.exit_code, error.reason) == (ExitCode.NOT_MEDIA, Reason.TOO_LARGE)
    assert on_disk(bench) <= MEBIBYTE + PIECE_BYTES


@pytest.mark.parametrize("by", ["a file", "a page"])
def test_B21_a_connection_that_is_reset_goes_on_where_it_was(  # noqa: N802
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)
    body = bytes(range(256)) * 4_000
    web.routes["/a.mp3"] = ranged(body, len(body) // 2, reset)
    result = bench.run(Task.DOWNLOAD, f"{web.url}/a.mp3" if by == "a file" else page_with(web, "/a.mp3"))
    assert result.outputs[0].path.read_bytes() == body
    starts = [headers.get("Range", "bytes=0-") for path, headers in web.asked if path == "/a.mp3"]
    assert any(start != "bytes=0-" for start in starts), "only the rest is asked for"


def cut_off(body: bytes) -> Any:
    """A route that sends some of a file and resets the connection, each time anew."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(body)
        reset(handler)

    return answer


RESETS: dict[str, Any] = {
    "before any answer": reset,
    "after the head": cut_off(b""),
    "half-way": cut_off(bytes(50_000)),
}


@pytest.mark.parametrize(
    ("by", "when"),
    [*((by, when) for by in ("a file", "a page") for when in RESETS), ("a look", "before any answer")],
)
def test_B21_connections_that_are_always_reset_are_given_up_and_tried_again_later(  # noqa: N802
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, by: str, when: str
) -> None:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)
    web.routes["/a.mp3"] = RESETS[when]
    url = page_with(web, "/a.mp3") if by == "a page" else f"{web.url}/a.mp3"
    error = failure(bench, url, Task.INSPECT if by == "a look" else Task.DOWNLOAD)
    assert (error.exit_code, error.reason) == (ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE)
    assert classify_exit_code(error.exit_code)[0] is FailureClass.RETRY
    assert 1 <= len(web.asked) < 20


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize("path", ["/a.mp3", "/page"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, Reason.SOURCE_UNAVAILABLE),
        (403, Reason.SOURCE_FORBIDDEN),
        (401, Reason.LOGIN_REQUIRED),
        (451, Reason.GEO_BLOCKED),
        (429, Reason.RATE_LIMITED),
        (503, Reason.TEMPORARY_FAILURE),
    ],
)
def test_B22_each_refusal_has_its_reason(  # noqa: N802
    bench: Bench, web: Web, status: int, reason: Reason, path: str, task: Task
) -> None:
    error = failure(bench, web.serve(path, b"no", status), task)
    again = reason in (Reason.RATE_LIMITED, Reason.TEMPORARY_FAILURE)
    kind = FailureClass.RETRY if again else FailureClass.PERMANENT
    assert (error.reason, classify_exit_code(error.exit_code)[0]) == (reason, kind)


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize("way", ["of the source", "of what a page leads to"])
def test_F43_an_outage_of_the_resolver_is_told_as_such_and_tried_again(  # noqa: N802
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, way: str, task: Task
) -> None:
    if way != "of the source" and task is Task.INSPECT:
        pytest.skip("looking asks no further host")
    real = socket.getaddrinfo

    def down(host: str, *rest: Any, **more: Any) -> Any:
        if host == "music.example":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", down)
    away = "http://music.example/a.mp3"
    error = failure(bench, away if way == "of the source" else page_with(web, away), task)
    assert (error.exit_code, error.reason) == (ExitCode.TEMPORARY, Reason.DNS_ERROR)
    assert error.message == "The name music.example cannot be resolved now."
    assert classify_exit_code(error.exit_code)[0] is FailureClass.RETRY
