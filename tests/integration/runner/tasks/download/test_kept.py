"""Download with what an earlier attempt has left, within one process: percent, limits, and servers that go astray."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Handler, Web

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp
from audiojob_runner.fetch.partial.format import BLOCK_BYTES
from audiojob_runner.task import PartialFolders
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

BODY = os.urandom(4 * BLOCK_BYTES)
KEPT = 2 * BLOCK_BYTES
PAST = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.fixture
def bench(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)
    bench.allowed_cidrs = ("127.0.0.1/32:*",)
    bench.keeping = PartialFolders(tmp_path / "1-aaaaaaaa/partial")
    return bench


def file(told: dict[str, str], body: bytes = BODY, sent: int | None = None) -> Callable[[Handler], None]:
    """A route that obeys ranges and If-Range, and sends so many bytes of the file at most, in all."""

    def answer(handler: Handler) -> None:
        wanted, version = handler.headers.get("Range"), handler.headers.get("If-Range")
        fits = wanted is not None and version in told.values()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fits else 0
        length = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        send(handler, 206 if start else 200, body[start:sent], len(body) - start, **told, **length)

    return answer


def send(handler: Handler, status: int, body: bytes, length: int, **headers: str) -> None:
    handler.answer(status, body, Content_Type="audio/mpeg", Content_Length=str(length), **headers)
    handler.close_connection = True


def break_off(bench: Bench, web: Web, told: dict[str, str]) -> str:
    """An attempt that ends when ``KEPT`` bytes and some more have come; the address. The next attempt is prepared."""
    web.routes["/a.mp3"] = file(told, sent=KEPT + 5_000)
    url = f"{web.url}/a.mp3"
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url)
    assert caught.value.reason is Reason.TEMPORARY_FAILURE
    web.asked.clear()
    assert bench.keeping is not None
    bench.keeping = PartialFolders(bench.root / "2-bbbbbbbb/partial", (bench.keeping.own,))
    return url


def ranges(web: Web) -> list[str | None]:
    return [headers.get("Range") for _, headers in web.asked]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"ETag": '"v1"'}, id="by its tag"),
        pytest.param({"Last_Modified": PAST}, id="by its date and size"),
    ],
)
def test_percent_begins_at_the_share_that_is_there_and_never_falls(
    bench: Bench, web: Web, told: dict[str, str]
) -> None:
    url = break_off(bench, web, told)
    web.routes["/a.mp3"] = file(told)
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY
    assert ranges(web) == [f"bytes={KEPT}-"]
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert next(percent for percent in percents if percent) == 50
    assert percents[-1] == 100


def page(handler: Handler) -> None:
    handler.answer(200, b"<html><body>moved</body></html>", Content_Type="text/html")


def unfit(**headers: str) -> Callable[[Handler], None]:
    """A server that sends a wrong part if it is asked for a part."""

    def answer(handler: Handler) -> None:
        if "Range" in handler.headers:
            send(handler, 206, b"wrong", 5, **headers)
        else:
            file({})(handler)

    return answer


def out_of_range(handler: Handler) -> None:
    if "Range" in handler.headers:
        handler.answer(416, b"", Content_Range="bytes */77")
    else:
        file({})(handler)


@pytest.mark.parametrize(
    ("route", "asked"),
    [
        pytest.param(file({"ETag": '"v2"'}), [f"bytes={KEPT}-"], id="another tag"),
        pytest.param(file({}), [f"bytes={KEPT}-"], id="no validator any more"),
        pytest.param(unfit(Content_Range="bytes 5-9/10"), [f"bytes={KEPT}-", None], id="another place"),
        pytest.param(
            unfit(Content_Range=f"bytes {KEPT}-{len(BODY) - 1}/{len(BODY)}", ETag='"v2"'),
            [f"bytes={KEPT}-", None],
            id="a part of another content",
        ),
        pytest.param(out_of_range, [f"bytes={KEPT}-", None], id="a shorter file"),
    ],
)
def test_what_is_not_the_same_is_begun_anew(
    bench: Bench, web: Web, route: Callable[[Handler], None], asked: list[str | None]
) -> None:
    url = break_off(bench, web, {"ETag": '"v1"'})
    web.routes["/a.mp3"] = route
    (output,) = bench.run(Task.DOWNLOAD, url).outputs
    assert output.path.read_bytes() == BODY
    assert ranges(web) == asked
    assert [path.name for path in bench.work.iterdir()] == ["source.mp3"]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # yt-dlp leaves answers open when it raises
def test_a_file_that_has_become_a_page_is_looked_at_as_a_page(bench: Bench, web: Web) -> None:
    url = break_off(bench, web, {"ETag": '"v1"'})
    web.routes["/a.mp3"] = page
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url)
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert not list(bench.root.glob("*/partial"))


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        pytest.param({"ETag": '"v1"'}, True, id="what has a tag"),
        pytest.param({}, False, id="what has no validator"),
        pytest.param({"ETag": 'W/"v1"'}, False, id="what has a weak tag"),
    ],
)
def test_only_what_can_be_continued_is_kept(bench: Bench, web: Web, told: dict[str, Any], kept: bool) -> None:
    url = break_off(bench, web, told)
    assert bool(list(bench.root.glob("*/partial"))) is kept
    web.routes["/a.mp3"] = file(told)
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == BODY
    assert ranges(web) == [f"bytes={KEPT}-" if kept else None]


def test_another_address_of_the_same_job_continues_nothing(bench: Bench, web: Web) -> None:
    url = break_off(bench, web, {"ETag": '"v1"'})
    web.routes["/a.mp3"] = file({"ETag": '"v1"'})
    assert bench.run(Task.DOWNLOAD, f"{url}?other").outputs[0].path.read_bytes() == BODY
    assert ranges(web) == [None]


def test_what_is_there_counts_to_the_limit(bench: Bench, web: Web) -> None:
    """The server told no length at first, and the rest alone would be small enough."""

    def endless(handler: Handler) -> None:
        start = KEPT if "Range" in handler.headers else 0
        headers = {"Content-Type": "audio/mpeg", "ETag": '"v1"', "Connection": "close"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        handler.send_response(206 if start else 200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(BODY[start:])
        handler.close_connection = True

    web.routes["/a.mp3"] = endless
    url = f"{web.url}/a.mp3"
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url, maxBytes=KEPT + 10_000)
    assert caught.value.reason is Reason.TOO_LARGE
    assert bench.keeping is not None
    bench.keeping = PartialFolders(bench.root / "2-bbbbbbbb/partial", (bench.keeping.own,))
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url, maxBytes=KEPT + 20_000)
    assert caught.value.reason is Reason.TOO_LARGE
    assert ranges(web) == [None, f"bytes={KEPT}-"]


def chunked(*, part: int, promised: int | None = None) -> Callable[[Handler], None]:
    """A server that tells no length at first and breaks off, and then sends ``part`` bytes of each range.

    ``promised`` is how many it says it sends.
    """

    def answer(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        end = min(start + (promised or part), len(BODY))
        handler.send_response(206 if start else 200)
        for name, value in {"Content-Type": "audio/mpeg", "ETag": '"v1"', "Transfer-Encoding": "chunked"}.items():
            handler.send_header(name, value)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(BODY)}")
        handler.end_headers()
        body = BODY[start : start + part]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
        if start:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return answer


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(chunked(part=KEPT), id="the rest"),
        pytest.param(chunked(part=KEPT * 3 // 4), id="less than was asked for"),
        pytest.param(chunked(part=KEPT * 3 // 4, promised=KEPT), id="less than it promised"),
    ],
)
def test_a_file_without_a_length_ends_where_a_later_range_says(
    bench: Bench, web: Web, route: Callable[[Handler], None]
) -> None:
    web.routes["/a.mp3"] = route
    assert bench.run(Task.DOWNLOAD, f"{web.url}/a.mp3").outputs[0].path.read_bytes() == BODY
