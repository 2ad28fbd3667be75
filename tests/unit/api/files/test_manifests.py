"""What is read of manifests: once, however many ranges of an output are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, Content, MemoryBackend, MemoryFiles

from audiojob_api.app import create_app
from audiojob_api.files.manifests import KnownManifests
from audiojob_api.files.ports import Call
from audiojob_api.settings import ApiSettings


class Counted(MemoryFiles):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = Counter[str]()

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Content]:
        self.reads[call.key] += 1
        async with super().open(call) as found:
            yield found


def test_ranges_of_an_output_read_its_manifests_once_and_lists_see_what_is_gone(backend: MemoryBackend) -> None:
    files = Counted()
    phases = [files.publish("fetch", {"source": b"a"}, title="A song"), files.publish("separate", {"vocals": b"sung"})]
    backend.put("song", state="Succeeded", phases=phases)
    app = create_app(ApiSettings(namespace="team"), replace(backend.backend(), files=files), backend.stopping)
    client = TestClient(app, headers={"Authorization": f"Bearer {GOOD_TOKEN}"})
    above = "/api/v1/jobs/song/outputs"
    answers = [client.get(f"{above}/vocals", headers={"Range": f"bytes={each}-"}) for each in range(3)]
    assert {answer.content for answer in answers} == {b"sung"}
    manifests = {"team/fetch/manifest.json": 1, "team/separate/manifest.json": 1}
    assert files.reads == {**manifests, "team/separate/vocals.bin": 3}
    files.contents.clear()  # swept
    assert (client.get(above).status_code, client.get(f"{above}/vocals").status_code) == (410, 410)


def test_what_is_known_is_bounded_and_large_ones_are_not_kept() -> None:
    known = KnownManifests(most_bytes=10)
    names = [("team", "key", name) for name in "abc"]
    for name in names[:2]:
        known.add(name, b"1234")
        known.add(name, b"1234")  # two requests read it at once
    assert known.get(names[0]) == b"1234"
    known.add(names[2], b"1234")
    assert [known.get(name) for name in names] == [b"1234", None, b"1234"], "the one asked for longest ago went"
    assert known.get(("film", "key", "a")) is None, "another namespace's are its own"
    large = KnownManifests()
    large.add(names[0], bytes(300_000))
    assert large.get(names[0]) is None
