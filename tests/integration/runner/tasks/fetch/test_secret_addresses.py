"""A token that a page, a redirect or a playlist brings is told nowhere; see the fixture ``secret_address``."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.integration.runner.tasks.conftest import TOKEN, Bench
from tests.integration.runner.tasks.web import Web

from audiojob_runner.errors import PhaseError
from audiojob_types.tasks import Task

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback", "secret_address"),
]
HTML: dict[str, Any] = {"Content_Type": "text/html"}
HLS: dict[str, Any] = {"Content_Type": "application/vnd.apple.mpegurl"}


def refused(bench: Bench, url: str, task: Task = Task.DOWNLOAD, **parameters: Any) -> None:
    bench.token = ""  # the address itself holds none
    with pytest.raises(PhaseError):
        bench.run(task, url, **parameters)


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize(
    "target",
    [
        f"http://127.0.0.2/a.mp3?sig={TOKEN}",
        f"http://user:{TOKEN}@127.0.0.2/a.mp3",
        f"http://127.0.0.2/token={TOKEN}/a.mp3",
        f"http://127.0.0.2/a.mp3#token={TOKEN}",
        f"/gone.mp3;sig={TOKEN}?x={quote('http://a.example/?sig=' + TOKEN, safe='')}",
        f"ftp://127.0.0.2/a.mp3?sig={TOKEN}",
        f"http://none.invalid/a.mp3?password={TOKEN}",
    ],
)
@pytest.mark.parametrize("path", ["/a.mp3", "/page"])
def test_the_target_of_a_redirect(bench: Bench, web: Web, path: str, target: str, task: Task) -> None:
    refused(bench, web.serve(path, b"", 302, Location=target), task)


@pytest.mark.parametrize("segment", [f"/gone.ts?sig={TOKEN}", f"http://127.0.0.2/x.ts?sig={TOKEN}", f"/{TOKEN}:::?/"])
def test_what_a_playlist_lists(bench: Bench, web: Web, segment: str) -> None:
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{segment}\n#EXT-X-ENDLIST\n"
    refused(bench, web.serve("/list.m3u8", text.encode(), **HLS))


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
def test_a_page_that_repeats_its_address(bench: Bench, web: Web, task: Task, sounds: Path) -> None:
    web.serve("/tone.mp3", (sounds / "tone.mp3").read_bytes(), Content_Type="audio/mpeg")
    title = f"{TOKEN} and {quote(TOKEN)} at {web.url}/page?sig={TOKEN}"
    page = f"<html><head><title>{title}</title></head><body><audio src='/tone.mp3?sig={TOKEN}'></audio></body></html>"
    bench.run(task, web.serve("/page", page.encode(), **HTML), **({"info": True} if task is Task.DOWNLOAD else {}))


@pytest.mark.parametrize("status", [302, 404, 429])
def test_headers_of_an_answer(bench: Bench, web: Web, status: int) -> None:
    headers = {"Set_Cookie": f"session={TOKEN}", "WWW_Authenticate": f"Basic realm={TOKEN}", "Retry_After": TOKEN}
    refused(bench, web.serve("/a.mp3", b"", status, Location=f"//{TOKEN}:x@", **headers))


def test_cookies_and_the_password_of_the_administrators_proxy(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "cookies.txt").write_text(
        f"# Netscape HTTP Cookie File\n.example.org\tTRUE\t/\tFALSE\t4102444800\tsession\t{TOKEN}\n"
    )
    (folder / "upstreamProxy").write_text(f"http://me:{TOKEN}@127.0.0.1:9")
    bench.fetch_credentials = folder
    refused(bench, "http://media.example.org/a.mp3")
    assert base64.b64encode(f"me:{TOKEN}".encode()).decode() not in str(bench.told)
