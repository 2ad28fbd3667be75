"""What a client does when the API refuses, is busy, breaks off, or is something else; and that tokens are not shown."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from audiojob_client import (
    AsyncClient,
    AudiojobError,
    BadAnswer,
    ChecksumMismatch,
    Client,
    ConnectionFailed,
    Forbidden,
    Invalid,
    JobGone,
    NotFinished,
    ProblemError,
    ServerFault,
    TokenFile,
    TooManyRequests,
    Unavailable,
    UploadBroken,
)
from audiojob_client.repeating import Failure, Patience, may_repeat, seconds_of
from audiojob_client.sse import Parser

TOKEN = "s3cret-token"
Handler = Callable[[httpx2.Request], httpx2.Response]
JOB: dict[str, Any] = {
    "name": "song", "uid": "u", "createdTime": "2026-11-29T00:00:00Z", "resourceVersion": "1",
    "spec": {"pipeline": "separate"}, "status": {"state": "Queued", "percent": 0}, "later": "field",
}  # fmt: skip


class Server:
    """Answers with what it is given, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers: Iterator[httpx2.Response | Exception] = iter(answers)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **settings: Any) -> Client:
        http = httpx2.Client(transport=httpx2.MockTransport(self))
        return Client("http://api.example", TOKEN, http=http, **{"patience": 60.0, **settings})


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test waits; how long it would have."""
    found: list[float] = []
    for module in ("transport", "events", "outputs"):
        monkeypatch.setattr(f"audiojob_client.synchronous.{module}.pause", found.append)

    async def pause(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("audiojob_client.asynchronous.events.a_pause", pause)
    return found


def refusal(status: int, kind: str = "invalid-request", **headers: str) -> httpx2.Response:
    body = {
        "type": f"/problems/{kind}", "title": "T", "status": status, "detail": "Why.",
        "errors": [{"pointer": "/a", "detail": "is wrong"}],
    }  # fmt: skip
    return httpx2.Response(status, json=body, headers={"Content-Type": "application/problem+json", **headers})


def job(**status: Any) -> httpx2.Response:
    return httpx2.Response(200, json={**JOB, "status": {**JOB["status"], **status}})


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "error"),
    [(202, NotFinished), (403, Forbidden), (422, Invalid), (500, ServerFault), (501, Unavailable), (418, ProblemError)],
)
def test_a_refusal_is_an_error_of_its_family(status: int, error: type[ProblemError]) -> None:
    with pytest.raises(error) as caught:
        Server(refusal(status)).client().jobs.get("song")
    found = caught.value
    assert type(found) is error
    assert (found.status, found.kind, found.detail) == (status, "invalid-request", "Why.")
    assert [(each.pointer, each.detail) for each in found.errors] == [("/a", "is wrong")]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(httpx2.Response(200, text="<html>"), id="a page of a proxy"),
        pytest.param(httpx2.Response(404, text="nginx"), id="a refusal of a proxy"),
        pytest.param(httpx2.Response(302, headers={"Location": "http://elsewhere/"}), id="a redirect"),
        pytest.param(httpx2.Response(200, json={"name": "song"}), id="fields that lack"),
        pytest.param(httpx2.Response(422, json=[1], headers={"Content-Type": "application/problem+json"}), id="a list"),
    ],
)
def test_what_is_no_answer_of_the_api_is_said_to_be_none(answer: httpx2.Response) -> None:
    server = Server(answer)
    with pytest.raises(BadAnswer):
        server.client().jobs.get("song")
    assert len(server.asked) == 1, "above all no redirect is followed: it would have the token"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("api.example", "must be https"), ("ftp://api", "must be https"), ("https://user:pw@api", "no user"),
        ("https://a/?t=1", "query"),
    ],
)  # fmt: skip
def test_addresses_that_are_none(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Client(url, TOKEN)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_a_name_cannot_leave_its_place(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Server().client().jobs.get(name)
    server = Server(job())
    server.client(namespace="team").jobs.get("a/../b?x#y")
    assert server.asked[0].url.raw_path == b"/api/v1/jobs/a%2F..%2Fb%3Fx%23y?namespace=team"


# ---------------------------------------------------------------- trying again


@pytest.mark.parametrize(
    ("failure", "safe", "again"),
    [
        pytest.param(Failure(429), False, True, id="a limit: nothing was done"),
        pytest.param(Failure(arrived=False), False, True, id="a request that never left"),
        pytest.param(Failure(503), False, False, id="unavailable: it may have been done"),
        pytest.param(Failure(), False, False, id="a broken connection: it may have been done"),
        pytest.param(Failure(503), True, True, id="unavailable, and twice is as once"),
        pytest.param(Failure(), True, True, id="a broken connection, and twice is as once"),
        pytest.param(Failure(500), True, False, id="a fault"),
        pytest.param(Failure(409), True, False, id="a conflict"),
    ],
)
def test_what_is_tried_again(failure: Failure, safe: bool, again: bool) -> None:
    assert may_repeat(failure, safe=safe) is again


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (None, None), ("-1", None), ("soon", None), ("9" * 40, None), ("٣", None)]
)
def test_what_retry_after_says(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_patience_follows_the_api_to_the_second_or_gives_up_at_once() -> None:
    patience = Patience(60)
    assert patience.wait(1, 0, 59.0) == 59.0
    assert patience.wait(2, 2.0, 59.0) is None
    assert [patience.wait(attempt, 0, None) for attempt in (1, 2, 3, 8)] == [0.5, 1.0, 2.0, None]
    assert Patience(0).wait(1, 0, 1.0) is None


def test_a_busy_api_is_waited_for_as_long_as_it_says(waits: list[float]) -> None:
    limit = refusal(429, "limit-reached", **{"Retry-After": "7"})
    server = Server(limit, refusal(503, "unavailable", **{"Retry-After": "5"}), httpx2.ReadError("cut"), job())
    assert server.client().jobs.get("song").name == "song"
    assert waits == [7.0, 5.0, 2.0]
    server = Server(refusal(429, "limit-reached", **{"Retry-After": "3600"}))
    with pytest.raises(TooManyRequests) as caught:
        server.client().jobs.create({"pipeline": "x"})
    assert (caught.value.retry_after, len(server.asked)) == (3600, 1)


def test_a_job_is_not_made_twice() -> None:
    server = Server(httpx2.ReadError("cut"), job())
    with pytest.raises(ConnectionFailed):
        server.client().jobs.create({"pipeline": "x"})
    server = Server(httpx2.ConnectError("refused"), httpx2.ReadError("cut"), job())
    server.client().jobs.create({"pipeline": "x"}, idempotency_key="order-66")
    assert [each.headers["Idempotency-Key"] for each in server.asked] == ["order-66"] * 3


# ---------------------------------------------------------------- lists and streams


def test_a_list_fetches_pages_as_they_are_wanted() -> None:
    pages = [
        httpx2.Response(200, json={"items": [JOB, JOB], "cursor": "c"}),
        httpx2.Response(200, json={"items": [JOB]}),
    ]
    server = Server(*pages)
    jobs = server.client().jobs.list(state="Queued", labels={"team": "a"}, limit=2)  # type: ignore[arg-type] # words do
    assert next(jobs).name == "song"
    assert len(server.asked) == 1
    assert len(list(jobs)) == 2
    assert dict(server.asked[1].url.params) == {"state": "Queued", "labels": "team=a", "limit": "2", "cursor": "c"}


def events(*parts: str) -> httpx2.Response:
    return httpx2.Response(200, text="".join(parts), headers={"Content-Type": "text/event-stream"})


def of_job(version: int, state: str) -> str:
    body = httpx2.Response(200, json={**JOB, "status": {"state": state, "percent": 0}}).text
    return f": quiet\n\nevent: job\nid: {version}\nretry: 2000\ndata: {body}\n\n"


def test_a_stream_goes_on_where_it_broke_off() -> None:
    server = Server(
        events(of_job(4, "Queued")), httpx2.ReadError("cut"), events(of_job(9, "Succeeded"), of_job(10, "Failed"))
    )
    states = [each.status.state for each in server.client().jobs.watch("song")]
    assert states == ["Queued", "Succeeded"]
    assert [each.headers.get("Last-Event-ID") for each in server.asked] == [None, "4", "4"]


def test_a_stream_that_brings_nothing_is_given_up(waits: list[float]) -> None:
    with pytest.raises(ConnectionFailed):
        list(Server(*[events() for _ in range(20)]).client().jobs.watch("song"))
    assert len(waits) < 10


def test_streams_end_with_what_the_api_says() -> None:
    refused = 'event: refused\ndata: {"type": "/problems/forbidden", "status": 403, "detail": "The right is gone."}\n\n'
    with pytest.raises(Forbidden, match="The right is gone"):
        list(Server(events(of_job(1, "Queued"), refused)).client().jobs.watch("song"))
    with pytest.raises(JobGone):
        list(Server(events('event: gone\ndata: {"name": "song"}\n\n')).client().jobs.watch("song"))
    assert list(Server(httpx2.Response(204)).client().jobs.watch("song")) == []
    log = 'event: log\nid: 1\ndata: {"text": "one\\u2028two\\n"}\n\nevent: end\ndata: {}\n\n'
    assert list(Server(events(log)).client().outputs.follow_log("song")) == ["one\u2028two\n"]


def test_events_are_read_however_their_bytes_are_cut() -> None:
    text = "event: log\r\nid: 7\r\ndata: eins\u2028zwei\r\ndata: drei\r\n\r\n: quiet\n\ndata: x\n\n".encode()
    for size in range(1, len(text) + 1):
        parser = Parser()
        found = [one for at in range(0, len(text), size) for one in parser.feed(text[at : at + size])]
        assert [(one.name, one.data, one.id) for one in found] == [
            ("log", "eins\u2028zwei\ndrei", "7"), ("message", "x", "7"),
        ]  # fmt: skip


# ---------------------------------------------------------------- files

SONG = bytes(range(256)) * 40
ETAG = f'"{hashlib.sha256(SONG).hexdigest()}"'


class Broken(httpx2.SyncByteStream):
    """A body that ends in the middle."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx2.ReadError("cut")


def file(start: int = 0, end: int | None = None, etag: str = ETAG) -> httpx2.Response:
    """The file from ``start``; where there is an ``end``, the connection breaks there."""
    headers = {"ETag": etag, "Content-Length": str(len(SONG) - start), "Content-Type": "audio/flac"}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(SONG) - 1}/{len(SONG)}"
    body = {"content": SONG[start:]} if end is None else {"stream": Broken(SONG[start:end])}
    return httpx2.Response(206 if start else 200, headers=headers, **body)


def test_a_file_that_breaks_off_goes_on_and_is_compared(tmp_path: Path) -> None:
    server = Server(file(end=1_000), file(1_000, 5_000), httpx2.ConnectError("refused"), file(5_000))
    saved = server.client().outputs.save("song", "vocals", tmp_path / "vocals.flac", phase="separate")
    assert saved.read_bytes() == SONG
    assert [path.name for path in tmp_path.iterdir()] == ["vocals.flac"]
    assert [each.headers.get("Range") for each in server.asked] == [None, "bytes=1000-", "bytes=5000-", "bytes=5000-"]
    assert {each.headers.get("If-Range") for each in server.asked} == {None, ETAG}
    assert server.asked[0].url.params["phase"] == "separate"


def test_a_later_call_goes_on_too(tmp_path: Path) -> None:
    target = tmp_path / "vocals.flac"
    with pytest.raises(ConnectionFailed):
        Server(file(end=3_000)).client(patience=0).outputs.save("song", "vocals", target)
    assert not target.exists()
    server = Server(file(), file(3_000))
    assert server.client().outputs.save("song", "vocals", target).read_bytes() == SONG
    assert server.asked[1].headers["Range"] == "bytes=3000-"


def test_a_file_that_changed_meanwhile_begins_anew(tmp_path: Path) -> None:
    other = SONG[::-1]
    etag = f'"{hashlib.sha256(other).hexdigest()}"'
    changed = httpx2.Response(200, content=other, headers={"ETag": etag})
    server = Server(file(end=1_000), changed)
    assert server.client().outputs.save("song", "vocals", tmp_path / "v").read_bytes() == other
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_file_that_is_another_is_not_kept(tmp_path: Path) -> None:
    wrong = httpx2.Response(200, content=SONG[::-1], headers={"ETag": ETAG})
    with pytest.raises(ChecksumMismatch):
        Server(wrong).client().outputs.save("song", "vocals", tmp_path / "v")
    assert list(tmp_path.iterdir()) == []
    nowhere = httpx2.Response(206, content=b"x", headers={"ETag": ETAG})
    with pytest.raises(BadAnswer, match="Content-Range"):
        Server(nowhere).client().outputs.save("song", "vocals", tmp_path / "v")


def upload(parts: list[int], **more: Any) -> httpx2.Response:
    shown = {
        "id": "up-1", "name": "a", "bytes": 10, "mediaType": "audio/flac", "partBytes": 4, "partCount": 3,
        "partUrl": "/x/{part}", "parts": parts, **more,
    }  # fmt: skip
    return httpx2.Response(200, json=shown)


def test_an_upload_that_breaks_off_goes_on_with_what_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(b"0123456789")
    part = httpx2.Response(200, json={})
    with pytest.raises(UploadBroken, match="up-1") as caught:
        Server(upload([]), part, refusal(500)).client().uploads.send(path)
    seen: list[tuple[int, int]] = []
    server = Server(upload([1]), part, part, upload([1, 2, 3], complete=True))
    done = server.client().uploads.send(path, resume=caught.value.upload, progress=lambda *each: seen.append(each))
    assert done.complete
    assert [each.read() for each in server.asked[1:3]] == [b"4567", b"89"]
    assert server.asked[1].headers["Content-Digest"].startswith("sha-256=:")
    assert seen == [(4, 10), (8, 10), (10, 10)]
    path.write_bytes(b"other")
    with pytest.raises(UploadBroken, match="has 5 bytes, and 10 were announced"):
        Server(upload([1])).client().uploads.send(path, resume="up-1")


# ---------------------------------------------------------------- tokens


def test_a_token_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    for answer in (job(), refusal(403), httpx2.ReadError("cut"), httpx2.Response(200, text="x")):
        server = Server(answer)
        client = server.client(patience=0)
        try:
            client.jobs.get("song")
        except AudiojobError as error:
            texts += [str(error), repr(error), repr(error.__cause__), repr(error.__dict__)]
        assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
        texts += [repr(client), repr(client.jobs), repr(client._transport.settings), repr(server.asked[0].headers)]
    assert TOKEN not in "".join(texts) + caplog.text
    made = {"id": "k", "name": "n", "owner": "o", "scopes": ["jobs:read"], "key": "aj_k_secret"}
    times = {"createdTime": "2026-11-29T00:00:00Z", "expiresTime": "2026-11-30T00:00:00Z"}
    key = Server(httpx2.Response(201, json={**made, **times})).client().keys.make("n", ["jobs:read"])
    assert (key.key, "secret" in repr(key)) == ("aj_k_secret", False)


def test_tokens_that_are_renewed_are_asked_for_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    server = Server(job(), job())
    source = TokenFile(path)
    client = Client("http://api", source, http=httpx2.Client(transport=httpx2.MockTransport(server)))
    client.jobs.get("a")
    path.write_text("two\n")
    source._read -= 60
    client.jobs.get("a")
    assert [each.headers["Authorization"] for each in server.asked] == ["Bearer one", "Bearer two"]
    for bad in ("", "two words", "a\r\nX: y", "é"):
        with pytest.raises(ValueError, match="the token is empty"):
            Client("http://api", bad).jobs.get("a")


async def test_the_asynchronous_form_does_the_same() -> None:
    server = Server(events(of_job(4, "Queued")), events(of_job(5, "Succeeded")))
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
    async with AsyncClient("http://api", TOKEN, http=http) as client:
        states = [each.status.state async for each in client.jobs.watch("song")]
    assert states == ["Queued", "Succeeded"]
    await http.aclose()
