"""A download that is killed half-way, and the attempt after it: real processes, a real server, a real folder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import JOB_UID, POD_UID, PodFolder, eventually, is_alive
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.web import Handler, Web

from audiojob_runner.fetch.partial.format import BLOCK_BYTES
from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

PREFIX = f"demo/{JOB_UID}/work"
NEXT_POD = "ffff0000-0000-4000-8000-000000000002"
OLD = bytes(range(256)) * (6 * BLOCK_BYTES // 256)
NEW = OLD[::-1]
SENT = 4 * BLOCK_BYTES + 1_000  # of the first answer: four whole blocks, and a bit
SECRET = "token=geheim"


@dataclass
class Source:
    """A file whose first answer stands still after ``SENT`` bytes; later ones obey ranges. ``served`` counts bytes."""

    body: bytes = OLD
    tag: str = '"v1"'
    held: bool = True
    served: int = 0
    ranges: list[str | None] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, handler: Handler) -> None:
        """Answer one request."""
        wanted = handler.headers.get("Range")
        self.ranges.append(wanted)
        fits = wanted is not None and handler.headers.get("If-Range") == self.tag
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fits else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(len(self.body) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        handler.end_headers()
        held, self.held = self.held, False
        rest = self.body[start : SENT if held else None]
        handler.wfile.write(rest)
        self.served += len(rest)
        if held:
            self.released.wait(60)
            handler.close_connection = True


@pytest.fixture
def source(web: Web) -> Iterator[Source]:
    source = Source()
    web.routes["/song.mp3"] = source
    yield source
    source.released.set()


def write_phase(pod: PodFolder, web: Web, attempt: int, **fields: Any) -> None:
    inputs = [{"name": "source", "url": f"{web.url}/song.mp3?{SECRET}"}]
    pod.write_phase("Download", inputs=inputs, network={"allowedCidrs": ["127.0.0.1/32:*"]}, attempt=attempt, **fields)


def kill_half_way(pod: PodFolder, store: StoreFolder, web: Web) -> Path:
    """The first attempt, until all that it can have is kept, and then no more of it; the folder that it leaves."""
    write_phase(pod, web, 1)
    process = pod.start()
    kept = store.root / PREFIX / f"1-{POD_UID[:8]}/partial"
    sums = kept / "sums"
    eventually(lambda: sums.is_file() and sums.stat().st_size == 4 * 32, "four blocks are kept")
    children = process.descendants()
    process.process.kill()
    process.wait()
    eventually(lambda: not any(map(is_alive, children)), "its worker is gone")
    return kept


def left_of_downloads(store: StoreFolder) -> list[str]:
    return [key for key in store.published() if "/partial/" in key]


def test_a_killed_download_is_continued_by_the_next_attempt(
    folder_pod: PodFolder, folder_store: StoreFolder, web: Web, source: Source
) -> None:
    kept = kill_half_way(folder_pod, folder_store, web)
    assert not any(SECRET.encode() in path.read_bytes() for path in kept.iterdir())

    write_phase(folder_pod, web, 2)
    ended = folder_pod.run(NEXT_POD)

    assert ended.code == ExitCode.OK, ended.stderr
    assert source.ranges == [None, f"bytes={4 * BLOCK_BYTES}-"]
    assert source.served == SENT + len(OLD) - 4 * BLOCK_BYTES
    [output] = ended.result.outputs
    assert (output.bytes, output.sha256) == (len(OLD), hashlib.sha256(OLD).hexdigest())
    folder = f"{PREFIX}/2-{NEXT_POD[:8]}"
    assert folder_store.published() == [f"{folder}/manifest.json", f"{folder}/source.mp3"]
    assert [output.name for output in folder_store.manifest(f"{folder}/manifest.json").outputs] == ["source"]


def test_a_file_that_changed_between_two_attempts_is_begun_anew(
    folder_pod: PodFolder, folder_store: StoreFolder, web: Web, source: Source
) -> None:
    kill_half_way(folder_pod, folder_store, web)
    source.body, source.tag = NEW, '"v2"'

    write_phase(folder_pod, web, 2)
    ended = folder_pod.run(NEXT_POD)

    assert ended.code == ExitCode.OK, ended.stderr
    assert source.served == SENT + len(NEW)
    assert ended.result.outputs[0].sha256 == hashlib.sha256(NEW).hexdigest()
    assert left_of_downloads(folder_store) == []


def test_what_is_kept_survives_a_temporary_failure_and_no_permanent_one(
    folder_pod: PodFolder, folder_store: StoreFolder, web: Web, source: Source
) -> None:
    kept = kill_half_way(folder_pod, folder_store, web)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}

    web.serve("/song.mp3", b"later", 503)
    write_phase(folder_pod, web, 2)
    assert folder_pod.run(NEXT_POD).code == ExitCode.TEMPORARY
    [moved] = folder_store.root.glob(f"{PREFIX}/*/partial")
    assert moved.parent.name == f"2-{NEXT_POD[:8]}"
    assert {path.name: path.read_bytes() for path in moved.iterdir()} == before

    web.serve("/song.mp3", b"gone", 404)
    write_phase(folder_pod, web, 3)
    assert folder_pod.run(NEXT_POD).code == ExitCode.SOURCE_UNAVAILABLE
    assert left_of_downloads(folder_store) == []


def test_an_attempt_that_still_runs_keeps_its_own(
    folder_pod: PodFolder, folder_store: StoreFolder, web: Web, source: Source
) -> None:
    """A node that nobody hears of may still write: the next attempt neither takes nor removes what it has."""
    write_phase(folder_pod, web, 1)
    first = folder_pod.start()
    sums = folder_store.root / PREFIX / f"1-{POD_UID[:8]}/partial/sums"
    eventually(lambda: sums.is_file() and sums.stat().st_size == 4 * 32, "four blocks are kept")

    write_phase(folder_pod, web, 2)
    second = folder_pod.run(NEXT_POD)
    assert second.code == ExitCode.OK, second.stderr
    assert source.ranges == [None, None]
    assert sums.stat().st_size == 4 * 32

    source.released.set()
    ended = first.wait()
    assert ended.code == ExitCode.OK, ended.stderr
    assert source.ranges[2:] == [f"bytes={SENT}-"]
    assert ended.result.manifest == second.result.manifest
    assert left_of_downloads(folder_store) == []
