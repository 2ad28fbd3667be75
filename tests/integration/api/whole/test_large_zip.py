"""A zip of any size comes as it is made: its length is known at once, and nobody on the way holds more than pieces."""

from __future__ import annotations

import http.client
import io
import uuid
import zipfile
from pathlib import Path

import pytest
from tests.integration.api.conftest import JOBS, URL
from tests.integration.api.whole.conftest import Whole
from tests.integration.files.results import Holes

pytestmark = pytest.mark.integration

FILES, SIZE = 4, 256 * 2**20
MOST_KIB = 20 * 1024  # what a zip of 10 GiB may take, too


def resident(pid: int, what: str) -> int:
    """KiB of a process: VmRSS now, VmHWM at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


def test_a_gigabyte_goes_through_api_and_service_in_pieces(whole: Whole) -> None:
    api, run = whole.api, uuid.uuid4().hex[:8]
    stems = {f"stem-{number}": Holes(SIZE) for number in range(FILES)}
    for name, outputs in {f"small-{run}": {"stem": Holes(4)}, f"large-{run}": stems}.items():
        assert api.create(name=name, pipeline="separate", source=URL)[0] == 201
        whole.publish(name, "separate", outputs)
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)

    def download(name: str) -> tuple[int, bytes]:
        """How many bytes came of a job's zip, and the last of them."""
        headers = {"Authorization": f"Bearer {api.token}"}
        connection.request("GET", f"{JOBS}/{name}/outputs.zip", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        told, came, end = int(answer.headers["Content-Length"]), 0, b""
        while piece := answer.read(2**20):
            came, end = came + len(piece), (end + piece)[-1000:]
        assert came == told
        return came, end

    download(f"small-{run}")  # what the first one needs for good
    for pid in whole.processes:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = [resident(pid, "VmRSS") for pid in whole.processes]
    came, end = download(f"large-{run}")
    grown = [resident(pid, "VmHWM") - kib for pid, kib in zip(whole.processes, before, strict=True)]
    connection.close()
    assert max(grown) < MOST_KIB, f"API and files service grew by {grown} KiB"
    assert came > FILES * SIZE
    padded = io.BytesIO(end)
    with zipfile.ZipFile(padded) as archive:  # it forgives what lacks before its directory
        assert [entry.file_size for entry in archive.infolist()] == [SIZE] * FILES
