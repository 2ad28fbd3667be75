"""What a download costs over curl: ``python bench/download.py [MEBIBYTES] [AT_ONCE]``.

A server on loopback sends a file at no more than 1 Gbit/s in all. Taken in turn: curl, and the Download task by its
own command line's worker functions in a fresh process, plain and through yt-dlp from a page. Wall times are ratios
to curl in the same run; processor seconds are those of the process that fetches, without the server's.
Then so many downloads of 8 MiB each at once, in as many processes, each of another file, whose content is compared.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

BITS_PER_SECOND: Final = 1_000_000_000
PIECE_BYTES: Final = 256 * 1024
ROUNDS: Final = 3
SMALL_BYTES: Final = 8 * 1024**2


def piece_of(name: str) -> bytes:
    """What the file of that name consists of, again and again."""
    return random.Random(name).randbytes(PIECE_BYTES)  # noqa: S311 - content to compare, no secret


class Bandwidth:
    """Lets so many bytes a second out, over all connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = 0.0

    def wait(self, number: int) -> None:
        """Called before each piece."""
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now - 0.01) + number * 8 / BITS_PER_SECOND
            pause = self._free - now
        if pause > 0:
            time.sleep(pause)


BANDWIDTH: Final = Bandwidth()


class Handler(BaseHTTPRequestHandler):
    """``/<bytes>.mp3`` is a file of that size, ``/<bytes>`` a page that shows it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A file or a page."""
        name = self.path.strip("/")
        if not name.endswith(".mp3"):
            body = f"<html><head><title>x</title></head><body><audio src='/{name}.mp3'></audio></body></html>".encode()
            self._head("text/html", len(body))
            self.wfile.write(body)
            return
        size = int(name.removesuffix(".mp3").rpartition("-")[2])
        self._head("audio/mpeg", size)
        piece = piece_of(name)
        try:
            for start in range(0, size, PIECE_BYTES):
                BANDWIDTH.wait(PIECE_BYTES)
                self.wfile.write(piece[: size - start])
        except OSError:
            self.close_connection = True

    def _head(self, content_type: str, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Nothing on the screen."""


def serve(ready: Callable[[int], None]) -> None:
    """The server, in a process of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.request_queue_size = 256
    ready(server.server_address[1])
    server.serve_forever()


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one fetch, by the clock and of the processor."""

    wall: float
    processor: float


def by_curl(url: str, folder: Path) -> None:
    """The raw alternative."""
    subprocess.run(["curl", "-sS", "--fail", "-o", str(folder / "curl.mp3"), url], check=True)


def by_task(url: str, folder: Path) -> None:
    """The Download task, as the worker process of a phase runs it."""
    import logging  # noqa: PLC0415

    from audiojob_runner.tasks import TaskContext, TaskInput, load  # noqa: PLC0415
    from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork  # noqa: PLC0415
    from audiojob_types.tasks import Task  # noqa: PLC0415
    from audiojob_types.tasks.download import DownloadParameters  # noqa: PLC0415

    logging.disable(logging.WARNING)
    context = TaskContext(
        work_dir=folder,
        models_root=folder,
        device=Device.CPU,
        limits=PhaseLimits(),
        network=PhaseNetwork(allowed_cidrs=("127.0.0.1/32:*",)),
        progress=lambda _percent, _message: None,
        log=logging.getLogger("bench"),
        attempt=1,
        job_uid="bench",
        cancelled=threading.Event(),
    )
    load(Task.DOWNLOAD)({"source": TaskInput("source", url=url)}, DownloadParameters(), context)


def by_command_line(url: str, folder: Path) -> None:
    """The same with its start, as ``python -m audiojob_runner run Download``."""
    command = [sys.executable, "-m", "audiojob_runner", "run", "Download", "--input", f"source={url}"]
    command += ["--out", str(folder / "out"), "--allow-cidr", "127.0.0.1/32:*"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _child(fetch: Callable[[str, Path], None], url: str, folder: Path, told: multiprocessing.Queue[Cost]) -> None:
    began = time.monotonic()
    fetch(url, folder)
    wall = time.monotonic() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    told.put(Cost(wall, sum(each.ru_utime + each.ru_stime for each in used)))


def measure(fetch: Callable[[str, Path], None], url: str) -> Cost:
    """One fetch in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    context = multiprocessing.get_context("fork")
    told: multiprocessing.Queue[Cost] = context.Queue()
    child = context.Process(target=_child, args=(fetch, url, folder, told))
    child.start()
    try:
        return told.get(timeout=300)
    finally:
        child.join()
        shutil.rmtree(folder, ignore_errors=True)


def _checked(url: str, name: str, right: multiprocessing.Queue[bool]) -> None:
    """One download, and whether its file is the one that was asked for."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        by_task(url, Path(folder))
        content = piece_of(name) * (SMALL_BYTES // PIECE_BYTES)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        right.put(len(files) == 1 and files[0].read_bytes() == content)


def at_once(number: int, base: str) -> tuple[float, int]:
    """Seconds until so many downloads have ended, and how many of them have the right content."""
    context = multiprocessing.get_context("fork")
    right: multiprocessing.Queue[bool] = context.Queue()
    names = [f"{index}-{SMALL_BYTES}.mp3" for index in range(number)]
    children = [context.Process(target=_checked, args=(f"{base}/{name}", name, right)) for name in names]
    began = time.monotonic()
    for child in children:
        child.start()
    for child in children:
        child.join()
    seconds = time.monotonic() - began
    return seconds, sum(right.get(timeout=10) for child in children if child.exitcode == 0)


def main() -> None:
    """Measure and print."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else 256) * 1024**2
    number = int(sys.argv[2] if len(sys.argv) > 2 else 50)
    context = multiprocessing.get_context("fork")
    ports: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=serve, args=(ports.put,), daemon=True)
    server.start()  # a daemon: it ends with this process
    base = f"http://127.0.0.1:{ports.get(timeout=10)}"
    # For a page of no known site yt-dlp imports all of its 1,800: a cost of each such phase, told apart from the rest.
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        by_task(f"{base}/1000", Path(folder))
        print(f"the first page of an unknown site: {time.process_time() - began:.1f} CPU s")
    ways: dict[str, tuple[Callable[[str, Path], None], str]] = {
        "curl": (by_curl, f"{base}/{size}.mp3"),
        "Download, a file": (by_task, f"{base}/{size}.mp3"),
        "Download, a page by yt-dlp": (by_task, f"{base}/{size}"),
        "Download, command line with its start": (by_command_line, f"{base}/{size}.mp3"),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (fetch, url) in ways.items():
            costs[name].append(measure(fetch, url))
    curl = statistics.median(cost.wall for cost in costs["curl"])
    print(f"{size / 1e6:.0f} MB at no more than 1 Gbit/s, {ROUNDS} rounds, medians; load {os.getloadavg()[0]:.1f}")
    for name, found in costs.items():
        wall = statistics.median(cost.wall for cost in found)
        processor = statistics.median(cost.processor for cost in found) / size * 1e9
        print(f"{name:40} {wall:6.2f} s   curl/this {curl / wall:5.2f}   {processor:5.2f} CPU s/GB")
    seconds, right = at_once(number, base)
    megabits = number * SMALL_BYTES * 8 / seconds / 1e6
    print(f"{number} downloads of {SMALL_BYTES / 1e6:.0f} MB at once: {seconds:.1f} s, {megabits:.0f} Mbit/s in all")
    print(f"{right} of {number} files are what was asked for")
    if right != number:
        sys.exit(1)


if __name__ == "__main__":
    main()
