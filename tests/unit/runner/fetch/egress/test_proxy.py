from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.proxy import AnswerHead, Refusal, RefusedError, parse_request


def head(first: str, *headers: str) -> bytes:
    return "\r\n".join([first, *headers, "", ""]).encode("latin-1")


def test_an_absolute_form_becomes_an_origin_form() -> None:
    request = parse_request(
        head(
            "GET http://example.com:8080/a%20b?c=d#e HTTP/1.1",
            "Host: elsewhere.example",
            "Accept: */*",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic secret",
            "Connection: keep-alive",
        )
    )
    assert (request.method, request.host, request.port) == ("GET", "example.com", 8080)
    assert request.forward == (
        b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )


def test_the_host_header_is_that_of_the_address_that_was_checked() -> None:
    request = parse_request(head("GET http://public.example/ HTTP/1.1", "hOsT: internal.example"))
    assert b"internal" not in request.forward


def test_a_tunnel_forwards_nothing_itself() -> None:
    request = parse_request(head("CONNECT [2606:4700::1]:443 HTTP/1.1", "Host: x"))
    assert (request.method, request.host, request.port, request.forward) == ("CONNECT", "2606:4700::1", 443, b"")


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("GET / HTTP/1.1", id="an origin form, as a server would get it"),
        pytest.param("GET ftp://example.com/ HTTP/1.1", id="another scheme"),
        pytest.param("GET https://example.com/ HTTP/1.1", id="https without a tunnel"),
        pytest.param("GET http:///a HTTP/1.1", id="no host"),
        pytest.param("GET http://example.com:99999/ HTTP/1.1", id="a port that does not exist"),
        pytest.param("GET http://[::1/ HTTP/1.1", id="a broken IPv6 address"),
        pytest.param("CONNECT example.com HTTP/1.1", id="a tunnel without a port"),
        pytest.param("CONNECT :443 HTTP/1.1", id="a tunnel without a host"),
        pytest.param("get http://example.com/ HTTP/1.1", id="a method in small letters"),
        pytest.param("GET http://example.com/", id="HTTP/0.9"),
        pytest.param("GET http://example.com/ a HTTP/1.1", id="four words"),
        pytest.param("\x16\x03\x01", id="a TLS handshake"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_proxy_request_is_refused(first: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_request(head(first))
    assert caught.value.refusal is Refusal.BAD_REQUEST


OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1_000], ids=lambda size: f"in pieces of {size} bytes")
@pytest.mark.parametrize(
    ("answer", "want"),
    [
        pytest.param(OK + b"A: b\r\n\r\nbody", OK + b"A: b\r\n" + CLOSE + b"body", id="a server that says nothing"),
        pytest.param(
            OK + b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n", OK + CLOSE, id="a server that keeps alive"
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + CLOSE + b"\r\n",
            id="an interim answer",
        ),
    ],
)
def test_the_client_is_told_that_the_connection_ends(answer: bytes, want: bytes, size: int) -> None:
    head = AnswerHead()
    assert b"".join(head.feed(answer[start : start + size]) for start in range(0, len(answer), size)) == want


def test_an_answer_without_end_of_head_is_given_up() -> None:
    head = AnswerHead()
    assert head.feed(b"x" * 60_000) == b""
    with pytest.raises(ConnectionAbortedError):
        head.feed(b"x" * 60_000)
