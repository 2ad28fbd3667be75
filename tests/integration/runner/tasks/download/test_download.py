"""Download by the command line, against real local servers: files, pages by yt-dlp, and addresses that are refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration


@contextmanager
def server(folder: Path, address: str) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; yields the base URL and the paths that were asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            asked.append(self.path)

    running = ThreadingHTTPServer((address, 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{running.server_address[1]}", asked
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A song, and a page that shows it."""
    folder = tmp_path / "site"
    folder.mkdir()
    tone = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=2", str(folder / "song.mp3")]
    subprocess.run(tone, check=True)
    page = '<html><head><title>My Song</title></head><body><video src="{}"></video></body></html>'
    (folder / "page.html").write_text(page.format("song.mp3"))
    return folder


def download(url: str, out: Path, *cidrs: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "audiojob_runner",
        "run",
        "Download",
        "--input",
        f"source={url}",
        "--out",
        str(out),
    ]
    allowed = [argument for cidr in cidrs for argument in ("--allow-cidr", cidr)]
    return subprocess.run([*command, *allowed], capture_output=True, text=True, timeout=90, check=False)


def test_a_page_with_a_video_is_read_by_yt_dlp(site: Path, tmp_path: Path) -> None:
    with server(site, "127.0.0.1") as (base, _):
        done = download(f"{base}/page.html", tmp_path / "out", "127.0.0.1/32:*")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "source.mp3").read_bytes() == (site / "song.mp3").read_bytes()
    assert '"ytDlp"' in done.stdout


def test_a_page_that_leads_to_a_private_address_is_stopped_there(site: Path, tmp_path: Path) -> None:
    with server(site, "127.0.0.1") as (base, _), server(site, "127.0.0.2") as (secret, asked):
        page = f'<html><head><title>x</title></head><body><video src="{secret}/song.mp3"></video></body></html>'
        (site / "trap.html").write_text(page)
        done = download(f"{base}/trap.html", tmp_path / "out", "127.0.0.1/32:*")
    assert done.returncode == ExitCode.BLOCKED_ADDRESS, done.stderr
    assert asked == []
    assert not list((tmp_path / "out").glob("*"))


def test_a_redirect_to_a_private_address_is_stopped_there(site: Path, tmp_path: Path) -> None:
    class Redirect(SimpleHTTPRequestHandler):
        target = ""

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", self.target)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    with server(site, "127.0.0.2") as (secret, asked):
        Redirect.target = f"{secret}/song.mp3"
        running = ThreadingHTTPServer(("127.0.0.1", 0), Redirect)
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{running.server_address[1]}/song.mp3"
            done = download(url, tmp_path / "out", "127.0.0.1/32:*")
        finally:
            running.shutdown()
            running.server_close()
            thread.join()
    assert done.returncode == ExitCode.BLOCKED_ADDRESS, done.stderr
    assert asked == []
