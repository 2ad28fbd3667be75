"""Cookies and a proxy of the administrator, and a bandwidth: against real servers on loopback.

Names are made up: the resolver of these tests knows none of them, as behind a company's proxy.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Handler, Web

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.egress import proxy
from audiojob_runner.fetch.egress.names import is_spelled_address
from audiojob_runner.fetch.egress.upstream import Upstream
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"), pytest.mark.usefixtures("collected")]
BODY = bytes(range(256)) * 1_000
SONG: dict[str, Any] = {"Content_Type": "audio/mpeg"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "secret"
    folder.mkdir()
    return folder


@pytest.fixture
def bench(bench: Bench, secret: Path) -> Bench:
    bench.fetch_credentials = secret
    return bench


@dataclass
class CompanyProxy:
    """A proxy that knows one name and leads it to a server of ours. ``asked`` lists first line and authorization."""

    target: tuple[str, int]
    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65_536)
            lines = head.decode().split("\r\n")
            found = [line.partition(": ")[2] for line in lines if line.startswith("Proxy-Authorization")]
            self.asked.append((lines[0], found[0] if found else ""))
            if found != ["Basic bWU6c2VjcmV0"]:
                client.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(self.target, timeout=10) as server:
                if lines[0].startswith("CONNECT"):
                    client.sendall(b"HTTP/1.1 200 OK\r\nVia: company\r\n\r\n")
                else:
                    method, url, version = lines[0].split(" ")
                    path = "/" + url.split("/", 3)[3]
                    server.sendall("\r\n".join([f"{method} {path} {version}", *lines[1:]]).encode())
                self._both_ways(client, server)

    def _both_ways(self, client: socket.socket, server: socket.socket) -> None:
        def upwards() -> None:
            with contextlib.suppress(OSError):
                while data := client.recv(65_536):
                    server.sendall(data)

        threading.Thread(target=upwards, daemon=True).start()
        while data := server.recv(65_536):
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)  # a thread that still reads would keep it open


@pytest.fixture
def company(web: Web, secret: Path) -> Iterator[CompanyProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        made = CompanyProxy(("127.0.0.1", web.server_address[1]), port)
        threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
        (secret / "upstreamProxy").write_text(f"http://me:secret@127.0.0.1:{port}\n")
        yield made
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def unknown(host: str, *rest: Any, **more: Any) -> Any:
        if host == "both-ways.example.org":
            return [*real("93.184.216.34", *rest, **more), *real("10.0.0.1", *rest, **more)]
        if host.endswith((".example", ".internal", "kubernetes")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


def failure(bench: Bench, url: str, **parameters: Any) -> PhaseError:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url, **parameters)
    return caught.value


def test_a_source_comes_by_the_administrators_proxy(
    bench: Bench, web: Web, company: CompanyProxy, no_names: None
) -> None:
    web.serve("/a.mp3", BODY, **SONG)
    assert bench.run(Task.DOWNLOAD, "http://music.example/a.mp3").outputs[0].path.read_bytes() == BODY
    assert company.asked == [("GET http://music.example/a.mp3 HTTP/1.1", "Basic bWU6c2VjcmV0")]
    assert web.asked[0][1]["Host"] == "music.example"


def test_yt_dlp_comes_by_it_too(bench: Bench, web: Web, company: CompanyProxy, no_names: None) -> None:
    web.serve("/a.mp3", BODY, **SONG)
    page = b"<html><head><title>x</title></head><body><audio src='/a.mp3'></audio></body></html>"
    web.serve("/page", page, Content_Type="text/html")
    assert bench.run(Task.DOWNLOAD, "http://music.example/page").outputs[0].path.read_bytes() == BODY
    assert len(company.asked) >= 3


def test_a_tunnel_by_it(web: Web, company: CompanyProxy, no_names: None) -> None:
    web.serve("/x", b"through two proxies")
    upstream = Upstream("127.0.0.1", company.port, "Basic bWU6c2VjcmV0")
    rules = proxy.ProxyRules((), 10**6, upstream=upstream)
    with contextlib.ExitStack() as stack:
        way = stack.enter_context(proxy.EgressProxy(rules, logging.getLogger("test")))
        port = int(way.url.rpartition(":")[2])
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        client.sendall(b"CONNECT music.example:443 HTTP/1.1\r\nHost: music.example:443\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(1_000):
            answer += data
    assert answer.endswith(b"through two proxies")
    assert company.asked[0][0] == "CONNECT music.example:443 HTTP/1.1"


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "0x7f.1", "[::1]", "169.254.169.254", "169.254.169.254.", "127.1.", "2130706433.", "0x7f.0.0.1.",
        "metadata.google.internal", "kubernetes", "localhost", "localhost.", "both-ways.example.org",
    ],
)  # fmt: skip
def test_the_proxy_is_not_asked_for_what_lies_inside(
    bench: Bench, company: CompanyProxy, no_names: None, host: str
) -> None:
    error = failure(bench, f"http://{host}/a.mp3")
    # An address is told to be one; what a name leads to is not told.
    found = (69, Reason.BLOCKED_ADDRESS) if is_spelled_address(host.strip("[]")) else (66, Reason.SOURCE_UNAVAILABLE)
    assert (error.exit_code, error.reason) == found
    assert company.asked == []


def test_what_is_allowed_inside_is_reached_without_it(bench: Bench, web: Web, company: CompanyProxy) -> None:
    bench.allowed_cidrs = ("127.0.0.1/32:*",)
    url = web.serve("/a.mp3", BODY, **SONG)
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY
    assert company.asked == []


def test_a_proxy_that_refuses_its_password(
    bench: Bench, company: CompanyProxy, no_names: None, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (secret / "upstreamProxy").write_text(f"http://me:hidden@127.0.0.1:{company.port}")
    error = failure(bench, "http://music.example/a.mp3")
    assert (error.exit_code, error.reason) == (77, Reason.CREDENTIALS_REFUSED)
    assert "hidden" not in error.message + caplog.text


def test_a_proxy_that_is_down(bench: Bench, no_names: None, secret: Path) -> None:
    (secret / "upstreamProxy").write_text("http://127.0.0.1:9")
    error = failure(bench, "http://music.example/a.mp3")
    assert (error.exit_code, error.reason) == (75, Reason.TEMPORARY_FAILURE)
    assert "administrator's proxy" in error.message


def needs_cookie(handler: Handler) -> None:
    """The song, for whoever is logged in."""
    if "session=abc" in handler.headers.get("Cookie", ""):
        handler.answer(200, BODY, **SONG)
    else:
        handler.answer(401, b"who are you")


def cookies(secret: Path, domain: str) -> None:
    line = f"{domain}\tFALSE\t/\tFALSE\t4102444800\tsession\tabc\n"
    (secret / "cookies.txt").write_text("# Netscape HTTP Cookie File\n" + line)
    (secret / "cookies.txt").chmod(0o440)


@pytest.mark.parametrize("by", ["a file", "a page"])
def test_cookies_open_their_own_site_and_no_other(bench: Bench, web: Web, secret: Path, by: str) -> None:
    bench.allowed_cidrs = ("127.0.0.1/32:*",)
    web.routes["/a.mp3"] = needs_cookie
    page = b"<html><head><title>x</title></head><body><audio src='/a.mp3'></audio></body></html>"
    url = f"{web.url}/a.mp3" if by == "a file" else web.serve("/page", page, Content_Type="text/html")
    cookies(secret, "other.example")
    assert failure(bench, url).reason is Reason.LOGIN_REQUIRED
    assert not any("Cookie" in headers for _, headers in web.asked)
    cookies(secret, "127.0.0.1")
    before = (secret / "cookies.txt").read_bytes()
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY
    assert (secret / "cookies.txt").read_bytes() == before
    left = [path.name for path in bench.work.rglob("*")]
    assert left == ["source.mp3"]


def test_a_bandwidth_is_kept(bench: Bench, web: Web) -> None:
    bench.allowed_cidrs = ("127.0.0.1/32:*",)
    url = web.serve("/a.mp3", bytes(600_000), **SONG)
    began = time.monotonic()
    bench.run(Task.DOWNLOAD, url, maxBytesPerSecond=400_000)
    assert time.monotonic() - began >= 1.0
