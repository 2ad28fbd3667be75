"""Bodies that grow when they are unpacked: they end early, clearly, and leave nothing on disk."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import requests
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Web

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp, unpacking
from audiojob_runner.fetch.partial.transfer import MAX_BREAKS
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback"),
]
MEBIBYTE = 1024**2
brotli: Any = pytest.importorskip("brotli")  # it has no types
ZEROS = bytes(10 * MEBIBYTE)

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda content: bytes(brotli.compress(content, quality=5)),
    "gzip, gzip": lambda content: gzip.compress(gzip.compress(content)),
    "gzip, br": lambda content: bytes(brotli.compress(gzip.compress(content))),
}


@cache
def packed(coding: str, start: bytes) -> bytes:
    return PACKED[coding](start + ZEROS)


def on_disk(bench: Bench) -> int:
    return sum(path.stat().st_size for path in bench.work.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", ["a file", "a page", "what is no page", "a song of a page", "a playlist", "a segment"])
@pytest.mark.parametrize("coding", PACKED)
def test_a_body_that_grows_too_much_ends_early(
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, coding: str, way: str
) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", MEBIBYTE)
    starts = {"a page": b"<html><body>", "a playlist": b"#EXTM3U\n"}
    kinds = {"a page": "text/html", "what is no page": "text/html", "a playlist": "application/vnd.apple.mpegurl"}
    body = packed(coding, starts.get(way, b""))
    paths = {"a playlist": "/a.m3u8", "a page": "/page", "what is no page": "/page", "a segment": "/a.ts"}
    path = paths.get(way, "/a.mp3")
    url = web.serve(path, body, Content_Encoding=coding, Content_Type=kinds.get(way, "audio/mpeg"))
    html: dict[str, Any] = {"Content_Type": "text/html"}
    if way == "a song of a page":
        url = web.serve("/with", f"<html><body><audio src='{url}'></audio></body></html>".encode(), **html)
    if way == "a segment":
        listed = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n/a.ts\n#EXT-X-ENDLIST\n"
        url = web.serve("/b.m3u8", listed.encode(), Content_Type="application/vnd.apple.mpegurl")
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.NOT_MEDIA, Reason.TOO_LARGE)
    assert "unpack" in caught.value.message
    assert on_disk(bench) <= 4 * MEBIBYTE


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_music_that_a_server_packs_is_unpacked(bench: Bench, web: Web, coding: str) -> None:
    body = bytes(range(256)) * 8_000
    url = web.serve("/a.mp3", PACKED[coding](body), Content_Encoding=coding, Content_Type="audio/mpeg")
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == body


def damaged(coding: str, how: str) -> bytes:
    content = PACKED[coding](random.Random(1).randbytes(50_000))
    if how == "flipped":
        return content[:20_000] + bytes(each ^ 0xFF for each in content[20_000:20_100]) + content[20_100:]
    return {"cut": content[:-20_000], "without its mark": content[:-2], "not packed": b"no such coding" * 999}[how]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, br"])
@pytest.mark.parametrize("how", ["cut", "without its mark"])
@pytest.mark.parametrize("way", ["a file", "a song of a page"])
def test_a_packed_body_without_an_end_is_not_taken_for_the_whole(
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, coding: str, how: str, way: str
) -> None:
    """Its Content-Length is right: a cache kept one half."""
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.0)
    url = web.serve("/a.mp3", damaged(coding, how), Content_Encoding=coding, Content_Type="audio/mpeg")
    if way == "a song of a page":
        html = f"<html><body><audio src='{url}'></audio></body></html>".encode()
        url = web.serve("/with", html, Content_Type="text/html")
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE)
    assert caught.value.message.endswith(".")
    assert len(web.asked) <= MAX_BREAKS + 4


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, br"])
@pytest.mark.parametrize("how", ["flipped", "not packed"])
def test_a_body_that_is_not_what_its_head_says_is_not_asked_for_again(
    bench: Bench, web: Web, coding: str, how: str
) -> None:
    url = web.serve("/a.mp3", damaged(coding, how), Content_Encoding=coding, Content_Type="audio/mpeg")
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA)
    assert "cannot be unpacked" in caught.value.message
    assert len(web.asked) == 1


@pytest.mark.parametrize("more", [b"", b"junk" * 100], ids=["two parts", "and something else"])
def test_several_parts_are_one_file(bench: Bench, web: Web, more: bytes) -> None:
    body = bytes(range(256)) * 1_000
    packed = gzip.compress(body[:1_000]) + gzip.compress(body[1_000:]) + more
    url = web.serve("/a.mp3", packed, Content_Encoding="gzip", Content_Type="audio/mpeg")
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == body


@pytest.mark.parametrize("coding", ["zstd", "gzip, zstd", "compress", "x" * 1_000])
@pytest.mark.parametrize("path", ["/a.mp3", "/page", "/a.m3u8"])
def test_a_coding_that_nobody_unpacks_is_not_stored_as_music(bench: Bench, web: Web, coding: str, path: str) -> None:
    kind = "audio/mpeg" if path == "/a.mp3" else "text/html"
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, web.serve(path, b"packed" * 100, Content_Encoding=coding, Content_Type=kind))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.NOT_MEDIA, Reason.NOT_MEDIA)
    assert "packed as" in caught.value.message
    assert on_disk(bench) == 0


@pytest.mark.parametrize("way", ["a file", "a song of a page"])
def test_the_body_of_a_redirect_is_not_read(bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """It has no limit of its own, and would be unpacked in memory."""
    read: list[int] = []
    real = requests.Response.iter_content

    def watched(response: requests.Response, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        for piece in real(response, *args, **kwargs):
            read.append(len(piece))
            yield piece

    monkeypatch.setattr(requests.Response, "iter_content", watched)
    music = bytes(range(256)) * 8_000
    moved = {"Location": web.serve("/b.mp3", music, Content_Type="audio/mpeg"), "Content_Encoding": "gzip"}
    url = web.serve("/a.mp3", packed("gzip", b""), 302, Content_Type="audio/mpeg", **moved)
    if way == "a song of a page":
        html = f"<html><body><audio src='{url}'></audio></body></html>".encode()
        url = web.serve("/with", html, Content_Type="text/html")
    assert bench.run(Task.DOWNLOAD, url).outputs[0].path.read_bytes() == music
    assert sum(read) < MEBIBYTE
