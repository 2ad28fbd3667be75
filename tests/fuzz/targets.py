"""What parses strangers' bytes: each target takes any bytes, and only its documented refusals may come out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import h11
from pydantic import ValidationError

from audiojob_api.access.authenticator import bearer_token
from audiojob_api.jobs.listing.cursor import at
from audiojob_api.jobs.listing.query import Query
from audiojob_api.problems import Problem
from audiojob_operator.deciding.children.observe import _result_of
from audiojob_runner.fetch.egress.http import ClientSide, ProxyRequest, ServerSide
from audiojob_runner.fetch.egress.refusals import RefusedError
from audiojob_runner.fetch.partial.resumption import Version, judge, part_of, version_of
from audiojob_runner.fetch.ytdlp.hls import parse_playlist
from audiojob_runner.lyrics.draft import UnusableError
from audiojob_runner.lyrics.read import read_lyrics
from audiojob_runner.lyrics.record import record_of
from audiojob_runner.lyrics.settle import Song, settle
from audiojob_runner.lyrics.write import WRITERS
from audiojob_runner.tasks.program_folder import parse_progress
from audiojob_types.contract import Manifest, PhaseInput
from audiojob_types.documents.lyrics import Form, Line, Lyrics, Origin, Place
from audiojob_types.outside.headers import MAX_RETRY_AFTER_SECONDS, retry_after_seconds

_NOW: Final = datetime(2026, 11, 28, tzinfo=UTC)
_BASE: Final = "https://example.org/live/list.m3u8"


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, and words of its language that chance would not find."""

    run: Callable[[bytes], object]
    words: Sequence[bytes]


def phase_file(content: bytes) -> None:
    """What is taken is written and read again as the same."""
    with suppress(ValidationError):
        found = PhaseInput.read(content)
        assert PhaseInput.read(json.dumps(found.to_wire())) == found


def manifest(content: bytes) -> None:
    """What is taken is written and read again as the same."""
    with suppress(ValidationError):
        found = Manifest.read(content)
        assert Manifest.read(json.dumps(found.to_wire())) == found


def termination_message(content: bytes) -> None:
    """The kubelet hands it on as text."""
    _result_of({"message": content.decode("utf-8", "replace")})


def progress_file(content: bytes) -> None:
    """A percentage is one, and a message can be printed."""
    found = parse_progress(content)
    assert found is None or (0 <= found.percent <= 100 and (found.message or "x").isprintable())


def proxy_request(content: bytes) -> None:
    """Whatever a client sends, a server gets one request, or nothing."""
    client = ClientSide()
    head = None
    with suppress(RefusedError, ConnectionAbortedError):
        for start in range(0, len(content), 50):
            if head is None:
                head = client.head(content[start : start + 50])
        if head is not None and not head.is_tunnel:
            _assert_one(head, client)


def _assert_one(head: ProxyRequest, client: ClientSide) -> None:
    server = ServerSide()
    sent = server.request(head) + server.body(client.body(b""))
    read = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    read.receive_data(sent)
    assert isinstance(read.next_event(), h11.Request)
    while isinstance(event := read.next_event(), h11.Data | h11.EndOfMessage):
        pass
    assert event in (h11.NEED_DATA, h11.PAUSED), "nothing follows the request"
    assert read.trailing_data[0] == b""


def proxy_answer(content: bytes) -> None:
    """Whatever a server sends is passed on as an answer, or ends the connection."""
    server = ServerSide()
    server.request(ProxyRequest("GET", "example.org", 80, "example.org", "/", ()))
    with suppress(ConnectionAbortedError):
        for start in range(0, len(content), 50):
            server.answer(content[start : start + 50])


def retry_after(content: bytes) -> None:
    """Never less than nothing, never more than the most."""
    found = retry_after_seconds(content.decode("latin-1"), _NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER_SECONDS


def ranges(content: bytes) -> None:
    """A part lies within its file. The headers are lines of the input."""
    lines = content.decode("latin-1").split("\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    part = part_of(headers)
    assert part is None or (0 <= part.start < part.end and (part.total is None or part.end <= part.total))
    for status in (200, 206, 416):
        for version in (None, version_of(headers, 10), Version(None, 10)):
            judge(version, 5, status, headers)


def playlist(content: bytes) -> None:
    """Lengths add up to something that is no less than nothing."""
    found = parse_playlist(content.decode("utf-8", "replace"), _BASE)
    assert found is None or (found.seconds >= 0 and found.target_seconds >= 0)


def lyrics(content: bytes) -> None:
    """Whatever people call lyrics is refused, or written in all forms, and WebVTT reads back as it was."""
    with suppress(UnusableError):
        found = _lyrics(content)
        assert Lyrics.read(json.dumps(found.to_wire())) == found
        written = {form: each.write(found) for form, each in WRITERS.items()}
        # Whatever a stranger's ASS holds, ours has syllables' times, and no sign of that form besides.
        assert not set("{}\\") & set(re.sub(r"\{\\kf?\d+\}", "", written[Form.ASS]))
        timed = [_spoken(line) for line in found.lines if line.start_milliseconds is not None]
        if timed:
            assert [_spoken(line) for line in _lyrics(written[Form.WEBVTT].encode()).lines] == timed
            for form in (Form.LRC, Form.SRT, Form.ASS):
                _lyrics(written[form].encode(), form)


def _lyrics(content: bytes, form: Form | None = None) -> Lyrics:
    draft = read_lyrics(content, form)
    return record_of(draft, settle(draft, Song()), Origin(place=Place.INPUT), None)[0]


def _spoken(line: Line) -> list[object]:
    times = [(word.text, word.start_milliseconds, word.end_milliseconds) for word in line.words]
    return [line.start_milliseconds, line.end_milliseconds, line.voice, *times]


def api_cursor(content: bytes) -> None:
    """A cursor is ours or a 400."""
    with suppress(Problem):
        at(Query(), content.decode("utf-8", "replace"))


def api_token(content: bytes) -> None:
    """A token is one printable word."""
    found = bearer_token([content.decode("latin-1")])
    assert found is None or (found.isascii() and found.isprintable() and " " not in found)


_JSON: Final = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b"0.5",
)
_HTTP: Final = (
    b"\r\n", b"\n", b" ", b":", b"GET ", b"CONNECT ", b"http://", b"[::1]", b"[", b"@", b":99999", b"%00", b"#", b"?",
    b"HTTP/1.1", b"HTTP/1.0", b"Host: ", b"Content-Length: ", b"Transfer-Encoding: chunked", b"0\r\n\r\n", b"\x00",
    b"\xff",
)  # fmt: skip
_LYRICS: Final = (
    b"[00:01.00]", b"<00:01.50>", b"[offset:-900]", b"[-0:09]", b"\n", b"\n\n", b"WEBVTT\n\n", b"-->", b"<v Ann>",
    b"00:00:01.000 --> 00:00:02,5\n", b"[Events]\nDialogue: 0,0:00:01.00,0:00:09.00,,,,,,,", b"{\\k50}", b"{\\p1}",
    b"{", b"}", b"\\", b"&lt;", b"<b>", b"[Chorus]", "\N{RIGHT-TO-LEFT OVERRIDE}".encode(), b"\xff\xfe",
    "\N{COMBINING ACUTE ACCENT}".encode(), "🎸".encode(), "♪".encode(), "ש".encode(),
)  # fmt: skip
_NUMBERS: Final = (b"0", b"-1", b"9" * 30, b"9" * 5_000, b"1e9", b"\xb2", b" ")

TARGETS: Final = {
    "phase-file": Target(phase_file, (*_JSON, b'"task"', b'"inputs"', b'"store"')),
    "manifest": Target(manifest, (*_JSON, b'"outputs"', b'"sha256"', b'"size"')),
    "termination-message": Target(termination_message, (*_JSON, b'"manifest"', b'"reason"')),
    "progress-file": Target(progress_file, (*_NUMBERS, b"\n", b"\r", b"100", b"42.5", b"\xe2\x80\xa8", b"\x1b[2J")),
    "proxy-request": Target(proxy_request, _HTTP),
    "proxy-answer": Target(proxy_answer, (*_HTTP, b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK")),
    "retry-after": Target(
        retry_after, (*_NUMBERS, b"Sat, 28 Nov 2026 10:00:00 GMT", b"GMT", b"-0000", b"+9999", b"10000", b"Feb", b":")
    ),
    "ranges": Target(
        ranges, (*_NUMBERS, b"Content-Range: bytes ", b"-", b"/", b"*", b"\n", b'ETag: "', b"W/", b"Last-Modified: ")
    ),
    "playlist": Target(
        playlist,
        (
            b"#EXTM3U\n",
            b"#EXTINF:",
            b"#EXT-X-MAP:URI=",
            b'"',
            b"#EXT-X-KEY:METHOD=",
            b"#EXT-X-MEDIA-SEQUENCE:",
            b"\n",
            b"http://[",
            b"//[::1",
            b"http://a]b/",
            b"nan",
            b"inf",
            b"1e400",
            b"\xef\xbb\xbf",
            b"#EXT-X-ENDLIST",
        ),
    ),
    "lyrics": Target(lyrics, _LYRICS),
    "api-cursor": Target(api_cursor, (b"WyJhIiwiYiJd", b"=", b"-", b"_", b"W1tbW1tb", b"bnVsbA==")),
    "api-token": Target(api_token, (b"Bearer ", b"bearer", b" ", b"\x00", b"\xff", b"Basic ", b"x" * 20_000)),
}
