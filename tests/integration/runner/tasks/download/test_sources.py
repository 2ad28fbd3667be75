"""Download from real servers on loopback."""

from __future__ import annotations

import gzip
import logging
import socket
from typing import Any

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Handler, Web, drip

from audiojob_dev.tools.processes import free_port
from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp
from audiojob_runner.fetch.egress import proxy, rates
from audiojob_runner.fetch.egress.addresses import parse_networks
from audiojob_runner.fetch.partial.transfer import MAX_REDIRECTS, PIECE_BYTES
from audiojob_runner.tasks import download
from audiojob_types.contract import PhaseLimits
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

pytestmark = pytest.mark.usefixtures("collected", "loopback")
BODY = bytes(range(256)) * 1_000
# yt-dlp leaves answers and half-written files open when it raises. Ours are closed: any other test fails for them.
by_yt_dlp = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
UNKNOWN = "application/octet-stream"


def failure(bench: Bench, url: str, **parameters: Any) -> PhaseError:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url, **parameters)
    return caught.value


def test_a_file_arrives_unchanged(bench: Bench, web: Web) -> None:
    result = bench.run(Task.DOWNLOAD, web.serve("/a/My%20Song.mp3", BODY, Content_Type="audio/mpeg"))
    (output,) = result.outputs
    assert (output.name, output.path.name, output.media_type) == ("source", "source.mp3", "audio/mpeg")
    assert output.path.read_bytes() == BODY
    assert result.metadata["host"] == "127.0.0.1"
    assert bench.reports[-1][0] == 100
    (_, headers) = web.asked[0]
    assert headers["User-Agent"] == "audiojob-runner"
    assert "Proxy-Connection" not in headers


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        pytest.param("/stream", {"Content_Type": "audio/flac"}, "source.flac", id="the type tells"),
        pytest.param("/a.wav", {"Content_Type": "text/plain"}, "source.wav", id="the name tells"),
        pytest.param("/a.wav", {"Content_Type": "audio/mpeg"}, "source.mp3", id="the type wins"),
        pytest.param(
            "/get",
            {"Content_Type": UNKNOWN, "Content_Disposition": 'attachment; filename="../../x.ogg"'},
            "source.ogg",
            id="the offered name tells",
        ),
        pytest.param("/a", {"Content_Type": "audio/unheard-of"}, "source.bin", id="nothing tells"),
        pytest.param("/a.php.mp3", {"Content_Type": "text/x-php"}, "source.mp3", id="a script named like a song"),
    ],
)
def test_the_extension_is_one_of_ours(bench: Bench, web: Web, path: str, headers: dict[str, Any], name: str) -> None:
    result = bench.run(Task.DOWNLOAD, web.serve(path, BODY, **headers))
    assert [path.name for path in bench.work.iterdir()] == [name]
    assert result.outputs[0].path.read_bytes() == BODY


def test_a_length_that_is_not_told(bench: Bench, web: Web) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))

    web.routes["/a.mp3"] = chunked
    assert bench.run(Task.DOWNLOAD, web.url + "/a.mp3").outputs[0].path.read_bytes() == BODY


def test_redirects_are_followed(bench: Bench, web: Web) -> None:
    web.serve("/b", BODY, Content_Type="audio/mpeg")
    url = web.serve("/a.mp3", b"", 302, Location="/b")
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, 66, Reason.SOURCE_UNAVAILABLE),
        (410, 66, Reason.SOURCE_UNAVAILABLE),
        (401, 66, Reason.LOGIN_REQUIRED),
        (403, 66, Reason.SOURCE_FORBIDDEN),
        (429, 75, Reason.RATE_LIMITED),
        (500, 75, Reason.TEMPORARY_FAILURE),
        (503, 75, Reason.TEMPORARY_FAILURE),
    ],
)
@pytest.mark.parametrize("path", ["/a.mp3", "/page"])
def test_error_statuses(bench: Bench, web: Web, path: str, status: int, code: int, reason: Reason) -> None:
    error = failure(bench, web.serve(path, b"no", status))
    assert (error.exit_code, error.reason) == (code, reason)
    assert list(bench.work.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"Retry_After": "120"}, 120, id="seconds"),
        pytest.param({"Retry_After": "0"}, 0, id="no seconds"),
        pytest.param({"Retry_After": "9" * 5_000}, 86_400, id="a number without end"),
        pytest.param({"Retry_After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 86_400, id="a date far away"),
        pytest.param({"Retry_After": "Fri, 01 Jan 1999 00:00:00 GMT"}, 0, id="a date in the past"),
        pytest.param({"Retry_After": "soon"}, None, id="a word"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_a_limit_tells_when_the_server_asked_to_be_asked_again(
    bench: Bench, web: Web, headers: dict[str, Any], seconds: int | None
) -> None:
    error = failure(bench, web.serve("/a.mp3", b"slow down", 429, **headers))
    assert error.refused_by == "127.0.0.1"
    assert (error.exit_code, error.reason, error.retry_after_seconds) == (75, Reason.RATE_LIMITED, seconds)


@pytest.mark.parametrize("path", ["/a.mp3", "/page"])
def test_a_limit_is_laid_to_the_host_that_a_redirect_leads_to(
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    real = socket.getaddrinfo
    ours = lambda host, *rest, **more: real("127.0.0.1" if "example" in host else host, *rest, **more)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", ours)
    port = web.server_address[1]
    web.serve("/limited.mp3", b"slow down", 429, Retry_After="86400")
    web.serve(path, b"", 302, Location=f"http://bait.example.net:{port}/limited.mp3")
    assert failure(bench, f"http://victim.example.org:{port}{path}").refused_by == "bait.example.net"


@by_yt_dlp
def test_a_limit_met_by_yt_dlp_tells_the_same(bench: Bench, web: Web) -> None:
    """The page answers; the song behind it, which yt-dlp fetches, does not."""
    web.serve("/tone.mp3", b"slow down", 429, Retry_After="120")
    page = "<html><head><title>x</title></head><body><audio src='/tone.mp3'></audio></body></html>"
    error = failure(bench, web.serve("/page", page.encode(), Content_Type="text/html"))
    assert "/tone.mp3" in [path for path, _ in web.asked]
    assert (error.exit_code, error.reason, error.retry_after_seconds) == (75, Reason.RATE_LIMITED, 120)


def test_a_redirect_loop_ends(bench: Bench, web: Web) -> None:
    error = failure(bench, web.serve("/a.mp3", b"", 302, Location="/a.mp3"))
    assert (error.exit_code, error.reason) == (66, Reason.TOO_MANY_REDIRECTS)
    assert len(web.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a.mp3", "gopher://127.0.0.1/"])
def test_a_redirect_to_another_protocol(bench: Bench, web: Web, target: str) -> None:
    error = failure(bench, web.serve("/a.mp3", b"", 302, Location=target))
    assert (error.exit_code, error.reason) == (66, Reason.SOURCE_UNAVAILABLE)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.2", "2130706434", "0x7f.2", "127.2", "[::ffff:127.0.0.2]", "[::1]", "0.0.0.0", "169.254.169.254",
     "10.0.0.1"],
)  # fmt: skip
def test_private_addresses_are_blocked_in_every_spelling(bench: Bench, canary: Web, host: str) -> None:
    error = failure(bench, f"http://{host}:{canary.server_address[1]}/secret.mp3")
    assert (error.exit_code, error.reason) == (69, Reason.BLOCKED_ADDRESS)
    assert list(bench.work.iterdir()) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_into_the_network_is_blocked(bench: Bench, web: Web, canary: Web, scheme: str) -> None:
    target = f"{scheme}://127.0.0.2:{canary.server_address[1]}/secret.mp3"
    error = failure(bench, web.serve("/a.mp3", b"", 301, Location=target))
    assert (error.exit_code, error.reason) == (69, Reason.BLOCKED_ADDRESS)


def test_a_name_that_changes_its_address_gains_nothing(
    bench: Bench, web: Web, canary: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when it is asked the first time, and private ever after."""
    answers = iter(["127.0.0.1"])
    lookups = []
    real = socket.getaddrinfo

    def rebinding(host: str, *rest: Any, **more: Any) -> Any:
        if host != "rebind.example":
            return real(host, *rest, **more)
        lookups.append(host)
        return real(next(answers, "127.0.0.2"), *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    web.serve("/a.mp3", BODY, Content_Type="audio/mpeg")
    url = f"http://rebind.example:{web.server_address[1]}/a.mp3"
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY
    assert lookups == ["rebind.example"]
    error = failure(bench, url)
    assert (error.exit_code, error.reason) == (66, Reason.SOURCE_UNAVAILABLE)


def test_proxies_of_the_environment_change_nothing(
    bench: Bench, web: Web, canary: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, canary.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    url = web.serve("/a.mp3", BODY, Content_Type="audio/mpeg")
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY
    assert failure(bench, canary.url + "/secret.mp3").reason is Reason.BLOCKED_ADDRESS
    assert failure(bench, canary.url + "/page").reason is Reason.BLOCKED_ADDRESS


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        pytest.param(socket.EAI_NONAME, 66, Reason.SOURCE_UNAVAILABLE, id="there is no such host"),
        pytest.param(socket.EAI_AGAIN, 75, Reason.DNS_ERROR, id="the resolver is down"),
    ],
)
def test_names_that_do_not_resolve(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, code: int, reason: Reason
) -> None:
    real = socket.getaddrinfo

    def fail(host: str, *rest: Any, **more: Any) -> Any:
        if host == "somewhere.example":
            raise socket.gaierror(number, "from the resolver")
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = failure(bench, "http://somewhere.example/a.mp3")
    assert (error.exit_code, error.reason) == (code, reason)
    assert "somewhere.example" in error.message


def test_a_server_that_is_down(bench: Bench) -> None:
    error = failure(bench, f"http://127.0.0.1:{free_port()}/a.mp3")
    assert (error.exit_code, error.reason) == (75, Reason.TEMPORARY_FAILURE)


def test_https_on_a_server_without_it(bench: Bench, web: Web) -> None:
    error = failure(bench, web.serve("/a.mp3", BODY).replace("http:", "https:"))
    assert (error.exit_code, error.reason) == (66, Reason.SOURCE_UNAVAILABLE)


def test_a_told_length_above_the_limit_is_refused_at_once(bench: Bench, web: Web) -> None:
    error = failure(bench, web.serve("/a.mp3", BODY, Content_Type="audio/mpeg"), maxBytes=1_000)
    assert (error.exit_code, error.reason) == (65, Reason.TOO_LARGE)
    assert list(bench.work.iterdir()) == []


def test_the_phases_limit_of_bytes_counts_too(bench: Bench, web: Web) -> None:
    bench.limits = PhaseLimits(max_input_bytes=1_000)
    assert failure(bench, web.serve("/a.mp3", BODY, Content_Type="audio/mpeg")).reason is Reason.TOO_LARGE


def endless(content_type: str) -> Any:
    """A route that never ends, as long as somebody reads."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(b"<p> " * 100_000)
        handler.close_connection = True

    return answer


def test_an_endless_file_ends_at_the_limit(bench: Bench, web: Web) -> None:
    web.routes["/a.mp3"] = endless("audio/mpeg")
    error = failure(bench, web.url + "/a.mp3", maxBytes=3_000_000)
    assert (error.exit_code, error.reason) == (65, Reason.TOO_LARGE)
    assert sum(path.stat().st_size for path in bench.work.iterdir()) <= 3_000_000 + PIECE_BYTES


@by_yt_dlp
def test_an_endless_page_ends_at_the_proxys_limit(bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not saved is counted as well: yt-dlp reads pages into memory."""
    monkeypatch.setattr(download, "OVERHEAD_BYTES", 2_000_000)
    web.routes["/page"] = endless("text/html")
    error = failure(bench, web.url + "/page", maxBytes=1_000)
    assert (error.exit_code, error.reason) == (65, Reason.TOO_LARGE)


def test_a_compressed_answer_is_measured_unpacked(bench: Bench, web: Web) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    url = web.serve("/a.mp3", bomb, Content_Type="audio/mpeg", Content_Encoding="gzip")
    error = failure(bench, url, maxBytes=1_000_000)
    assert error.reason is Reason.TOO_LARGE
    assert sum(path.stat().st_size for path in bench.work.iterdir()) <= 1_000_000 + PIECE_BYTES


@pytest.mark.parametrize("sent", [len(BODY) - 10, len(BODY) // 2, 0], ids=["nearly all", "half", "nothing"])
def test_a_broken_off_file_is_not_taken_for_whole(
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)

    def broken(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY[:sent])
        handler.close_connection = True

    web.routes["/a.mp3"] = broken
    error = failure(bench, web.url + "/a.mp3")
    assert (error.exit_code, error.reason) == (75, Reason.TEMPORARY_FAILURE)


def test_a_server_that_drips_is_given_up(bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "STALL_SECONDS", 0.5)
    web.routes["/a.mp3"] = lambda handler: drip(handler, 20)
    error = failure(bench, web.url + "/a.mp3")
    assert (error.exit_code, error.reason) == (75, Reason.TOO_SLOW)


def test_cancelling_ends_a_download(bench: Bench, web: Web) -> None:
    web.routes["/a.mp3"] = endless("audio/mpeg")
    bench.on_progress = bench.cancelled.set
    error = failure(bench, web.url + "/a.mp3")
    assert (error.exit_code, error.reason) == (143, Reason.STOPPED)


def test_a_tunnel_reaches_the_checked_address_and_closes_with_the_proxy(web: Web) -> None:
    """https goes through CONNECT; the bytes within are none of the proxy's business."""
    web.serve("/x", b"through the tunnel")
    with proxy.EgressProxy(
        proxy.ProxyRules(parse_networks(["127.0.0.1/32:*"]), 10**6), logging.getLogger("test")
    ) as way:
        port = int(way.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            authority = f"127.0.0.1:{web.server_address[1]}"
            client.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := client.recv(1_000):
                answer += data
    assert answer.endswith(b"through the tunnel")
    assert way.received == len(answer)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
