"""The client against the whole API: the examples of docs/client.md as they stand, changes, and what breaks off."""

from __future__ import annotations

import hashlib
import re
import secrets
import select
import socket
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.whole.conftest import Whole

from audiojob_client import AsyncClient, Client, Conflict, NotFinished, NotFound, Unauthenticated, UploadBroken
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import API_VERSION
from audiojob_types.resources.job import FINISHED_STATES

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[4] / "docs/client.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SONG = b"fLaC" + secrets.token_bytes(65_536) * 257  # two parts
URL = {"url": "https://example.org/song.flac"}


def is_ended(job: dict[str, Any]) -> bool:
    return job.get("status", {}).get("state") in FINISHED_STATES


@contextmanager
def operator(whole: Whole) -> Iterator[None]:
    """Ends every job that is not to stay as it is, with results, as operator and runner would."""
    stop = threading.Event()
    path = f"/apis/{API_VERSION}/namespaces/{whole.api.namespace}/audiojobs"

    def work() -> None:
        while not stop.wait(0.1):
            for job in whole.api.server.rest.request("GET", path)["items"]:
                name = job["metadata"]["name"]
                if is_ended(job) or name.startswith(("fuzz-", "stays-")) or job["spec"].get("suspend"):
                    continue
                with suppress(RestError):  # it was ended or deleted meanwhile; else it is there the next time
                    whole.publish(name, "separate", {"vocals": SONG, "drums": SONG[:1000]})

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Cutting:
    """Passes connections to the API on, and cuts each after so many bytes of an answer, or of a request."""

    def __init__(self, port: int, answer: int, request: int) -> None:
        self._port, self._most = port, (request, answer)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as api, suppress(OSError):
            passed = [0, 0]
            while True:
                ready, _, _ = select.select([client, api], [], [])
                for way, (source, target) in enumerate(((client, api), (api, client))):
                    if source not in ready:
                        continue
                    chunk = source.recv(65_536)
                    if not chunk:
                        return
                    passed[way] += len(chunk)
                    if passed[way] > self._most[way]:
                        self.cut += 1
                        return
                    target.sendall(chunk)


@pytest.fixture
def client(whole: Whole) -> Iterator[Client]:
    with Client(whole.url, whole.api.token) as made:
        yield made


def test_every_example_of_the_page_runs(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("song.flac").write_bytes(SONG)
    with operator(whole):
        for text in EXAMPLES:
            code = text.replace("https://audio.example.org", whole.url)
            exec(compile(code, "docs/client.md", "exec"), {"TOKEN": whole.api.token, "__name__": "example"})
    said = capsys.readouterr().out
    assert said.count("Succeeded") >= 4
    assert "invalid-request pipelin: unknown field, did you mean pipeline?" in said
    assert '{"message":"one"}\n{"message":"two"}\n' in said
    assert Path("Ein Lied (vocals).flac").read_bytes() == SONG
    with zipfile.ZipFile("stems.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["Ein Lied (drums).flac", "Ein Lied (vocals).flac"]
    assert [path.name for path in tmp_path.glob(".*.part")] == []
    assert whole.api.token not in said


def test_changes_reviews_retries_keys_and_statistics(whole: Whole, client: Client) -> None:
    name = f"stays-{uuid.uuid4().hex[:8]}"
    job = client.jobs.create({"name": name, "pipeline": "separate", "source": URL, "priority": 3})
    assert client.jobs.create({"pipeline": "separate"}, idempotency_key=name).name == (
        client.jobs.create({"pipeline": "separate"}, idempotency_key=name).name
    )
    assert client.jobs.change(job.name, priority="high").spec.priority == 10
    assert client.jobs.suspend(job.name).spec.suspend
    assert not client.jobs.resume(job.name).spec.suspend
    with pytest.raises(NotFinished):
        client.outputs.list(job.name)
    whole.api.set_status(job.name, phases=[{"name": "publish", "attempt": 0, "state": "Waiting"}])
    wait_until("the phase in the read model", lambda: bool(client.jobs.get(job.name).status.phases), seconds=30)
    assert client.jobs.review(job.name, "publish", approved=True, message="fine").spec.reviews is not None
    assert client.jobs.cancel(job.name).spec.cancel
    with pytest.raises(Conflict, match="not-finished"):
        client.jobs.retry(job.name)
    whole.api.set_status(job.name, state="Cancelled")
    assert client.jobs.wait(job.name).ended
    wait_until("the end in the read model", lambda: client.jobs.get(job.name).ended, seconds=30)
    assert client.jobs.retry(job.name, idempotency_key=f"r-{name}").spec.retry_of == job.name
    with pytest.raises(NotFound):
        client.jobs.get("there-is-none")

    key = client.keys.make("laptop", ["jobs:read"], expires_days=1)
    assert key.key is not None
    with Client(whole.url, key.key) as other:
        assert other.jobs.get(job.name).uid == job.uid
    assert key.id in {each.id for each in client.keys.list()}
    client.keys.revoke(key.id)
    with Client(whole.url, "no-token") as stranger, pytest.raises(Unauthenticated):
        stranger.jobs.get(job.name)
    assert client.statistics(by="pipeline").by == "pipeline"
    assert {part.name for part in client.health().parts} >= {"database"}


def test_a_list_is_all_pages_of_it(client: Client) -> None:
    prefix = f"stays-l{uuid.uuid4().hex[:6]}"
    for number in range(5):
        client.jobs.create({"name": f"{prefix}-{number}", "pipeline": "separate", "source": URL})
    wait_until("all in the read model", lambda: client.jobs.count(name=prefix).count == 5, seconds=30)
    found = [job.name for job in client.jobs.list(name=prefix, limit=2)]
    assert sorted(found) == [f"{prefix}-{number}" for number in range(5)]  # those of one second stand in any order


async def test_what_breaks_off_goes_on_in_both_forms(whole: Whole, client: Client, tmp_path: Path) -> None:
    song = tmp_path / "song.flac"
    song.write_bytes(SONG)
    name = f"stays-{uuid.uuid4().hex[:8]}"
    client.jobs.create({"name": name, "pipeline": "separate", "source": URL})
    whole.publish(name, "separate", {"vocals": SONG})
    client.jobs.wait(name)
    proxy = Cutting(whole.api.port, answer=6_000_000, request=1 << 40)
    with Client(proxy.url, whole.api.token) as cut:
        assert cut.outputs.save(name, "vocals", tmp_path / "plain.flac").read_bytes() == SONG
    async with AsyncClient(proxy.url, whole.api.token) as also_cut:
        assert (await also_cut.outputs.save(name, "vocals", tmp_path / "awaited.flac")).read_bytes() == SONG
    assert proxy.cut >= 4
    proxy.close()

    proxy = Cutting(whole.api.port, answer=1 << 40, request=16_790_000)  # the first part passes, the second does not
    with Client(proxy.url, whole.api.token, patience=0) as cut, pytest.raises(UploadBroken) as caught:
        cut.uploads.send(song)
    proxy.close()
    assert client.uploads.get(caught.value.upload).parts == (1,)
    sent: list[tuple[int, int]] = []
    done = client.uploads.send(song, resume=caught.value.upload, progress=lambda *each: sent.append(each))
    assert (done.complete, done.sha256) == (True, hashlib.sha256(SONG).hexdigest())
    client.uploads.remove(done.id)


def test_the_client_imports_nothing_of_the_programs() -> None:
    code = "import sys, audiojob_client; print(sorted(m for m in sys.modules if m in %r))"
    heavy = ["aiohttp", "fastapi", "kubernetes", "kopf", "sqlalchemy", "uvicorn", "audiojob_api", "audiojob_kube"]
    found = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
