from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.http import MAX_HEAD_BYTES, ClientSide, ProxyRequest, ServerSide
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError


def head(first: str, *headers: str) -> bytes:
    return "\r\n".join([first, *headers, "", ""]).encode("latin-1")


def parsed(data: bytes) -> tuple[ClientSide, ProxyRequest]:
    reader = ClientSide()
    request = reader.head(data)
    assert request is not None
    return reader, request


def forwarded(data: bytes, *more: bytes) -> bytes:
    """What a server gets of what a client sends."""
    reader, request = parsed(data)
    server = ServerSide()
    return server.request(request) + b"".join(server.body(reader.body(piece)) for piece in (b"", *more))


def test_an_absolute_form_becomes_an_origin_form() -> None:
    data = head(
        "GET http://example.com:8080/a%20b?c=d#e HTTP/1.1",
        "Host: elsewhere.example",
        "Accept: */*",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic secret",
        "Connection: keep-alive",
    )
    _, request = parsed(data)
    assert (request.method, request.host, request.port) == ("GET", "example.com", 8080)
    assert forwarded(data) == (
        b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )


def test_another_proxy_gets_the_absolute_form_and_its_own_headers() -> None:
    _, request = parsed(head("GET http://example.com/a HTTP/1.1", "Host: x", "Proxy-Authorization: Basic ours"))
    assert ServerSide().request(request, [(b"Proxy-Authorization", b"Basic theirs")]) == (
        b"GET http://example.com/a HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Basic theirs\r\n"
        b"Connection: close\r\n\r\n"
    )


def test_the_host_header_is_that_of_the_address_that_was_checked() -> None:
    assert b"internal" not in forwarded(head("GET http://public.example/ HTTP/1.1", "hOsT: internal.example"))


def test_what_follows_the_head_of_a_tunnel_is_its_first_bytes() -> None:
    reader, request = parsed(head("CONNECT [2606:4700::1]:443 HTTP/1.1", "Host: x") + b"\x16\x03\x01")
    assert (request.is_tunnel, request.host, request.port, reader.rest) == (True, "2606:4700::1", 443, b"\x16\x03\x01")


@pytest.mark.parametrize("size", [1, 7, 1_000], ids=lambda size: f"in pieces of {size} bytes")
def test_a_head_may_arrive_in_pieces(size: int) -> None:
    data = head("GET http://example.com/ HTTP/1.1", "Host: example.com")
    reader = ClientSide()
    found = [reader.head(data[start : start + size]) for start in range(0, len(data), size)]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] is not None


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        pytest.param("GET / HTTP/1.1", (), id="an origin form, as a server would get it"),
        pytest.param("GET ftp://example.com/ HTTP/1.1", (), id="another scheme"),
        pytest.param("GET https://example.com/ HTTP/1.1", (), id="https without a tunnel"),
        pytest.param("GET http:///a HTTP/1.1", (), id="no host"),
        pytest.param("GET http://example.com:99999/ HTTP/1.1", (), id="a port that does not exist"),
        pytest.param("GET http://[::1/ HTTP/1.1", (), id="a broken IPv6 address"),
        pytest.param("CONNECT example.com HTTP/1.1", (), id="a tunnel without a port"),
        pytest.param("CONNECT :443 HTTP/1.1", (), id="a tunnel without a host"),
        pytest.param("get http://example.com/ HTTP/1.1", (), id="a method in small letters"),
        pytest.param("GET http://example.com/ HTTP/2.0", (), id="another version of HTTP"),
        pytest.param("GET http://example.com/", (), id="HTTP/0.9"),
        pytest.param("GET http://example.com/ a HTTP/1.1", (), id="four words"),
        pytest.param("\x16\x03\x01", (), id="a TLS handshake"),
        pytest.param("", (), id="nothing"),
        pytest.param("GET http://a/ HTTP/1.1", ("Host: a",), id="a second Host header"),
        pytest.param("GET http://a/ HTTP/1.1", ("X : y",), id="a space before the colon"),
        pytest.param("GET http://a/ HTTP/1.1", ("X: a\rHost: b",), id="a bare carriage return"),
        pytest.param("GET http://a/ HTTP/1.1", ("X: a\x00b",), id="a null byte"),
        pytest.param(
            "POST http://a/ HTTP/1.1",
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            id="two kinds of length, of which servers may take either",
        ),
        pytest.param("POST http://a/ HTTP/1.1", ("Content-Length: 1", "Content-Length: 2"), id="two lengths"),
        pytest.param("POST http://a/ HTTP/1.1", ("Content-Length: +5",), id="a length with a sign"),
        pytest.param("POST http://a/ HTTP/1.1", ("Transfer-Encoding: xchunked",), id="an unknown transfer coding"),
        pytest.param(
            "POST http://a/ HTTP/1.1",
            ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
            id="two transfer codings",
        ),
    ],
)
def test_what_is_no_valid_request_to_a_proxy_is_refused(first: str, headers: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as caught:
        ClientSide().head(head(first, "Host: a", *headers))
    assert caught.value.refusal is Refusal.BAD_REQUEST


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET http://a/" + b"a" * MAX_HEAD_BYTES, id="a request line without an end"),
        pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES, id="headers without end"),
    ],
)
def test_a_head_that_is_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match="too long"):
        ClientSide().head(data)


SMUGGLED = b"GET http://internal.example/ HTTP/1.1\r\nHost: internal.example\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "want"),
    [
        pytest.param((), b"", b"", id="behind a request without a body"),
        pytest.param(("Content-Length: 3",), b"abc", b"abc", id="behind a body of a given length"),
        pytest.param(
            ("Transfer-Encoding: chunked",),
            b"3;x=y\r\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\r\n0\r\n\r\n",
            id="behind a chunked body",
        ),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in the same packet", "later"])
def test_no_second_request_is_smuggled_past_the_check(
    headers: tuple[str, ...], body: bytes, want: bytes, together: bool
) -> None:
    first = head("POST http://public.example/ HTTP/1.1", "Host: public.example", *headers)
    sent = forwarded(first + body + SMUGGLED) if together else forwarded(first, body, SMUGGLED)
    assert b"internal.example" not in sent
    assert sent.partition(b"\r\n\r\n")[2] == want


@pytest.mark.parametrize("body", [b"zz\r\n", b"3\r\nabcdef\r\n", b"-1\r\n"])
def test_a_body_that_is_not_framed_as_its_head_says_ends_the_connection(body: bytes) -> None:
    with pytest.raises(ConnectionAbortedError):
        forwarded(head("POST http://a/ HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), body)


OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def server() -> ServerSide:
    """One that was sent a request."""
    _, request = parsed(head("GET http://a/ HTTP/1.1", "Host: a"))
    found = ServerSide()
    found.request(request)
    return found


@pytest.mark.parametrize("size", [1, 7, 1_000], ids=lambda size: f"in pieces of {size} bytes")
@pytest.mark.parametrize(
    ("answer", "want"),
    [
        pytest.param(OK + b"A: b\r\n\r\nbody", OK + b"A: b\r\n" + CLOSE + b"body", id="a server that says nothing"),
        pytest.param(
            OK + b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n", OK + CLOSE, id="a server that keeps alive"
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\nbody",
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + CLOSE + b"body",
            id="an interim answer",
        ),
        pytest.param(b"HTTP/1.0 404 \n\nbody", b"HTTP/1.1 404 \r\n" + CLOSE + b"body", id="an old server"),
    ],
)
def test_the_client_learns_that_the_connection_ends(answer: bytes, want: bytes, size: int) -> None:
    side = server()
    assert b"".join(side.answer(answer[start : start + size]) for start in range(0, len(answer), size)) == want


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES, id="a head without an end"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="another protocol"),
        pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two lengths"),
    ],
)
def test_an_answer_that_is_not_http_ends_the_connection(answer: bytes) -> None:
    with pytest.raises(ConnectionAbortedError):
        server().answer(answer)
