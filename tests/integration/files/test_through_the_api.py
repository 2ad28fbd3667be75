"""The API passes files through: a service on a folder, the API on a socket, a client that knows the API alone."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import secrets
import zipfile
from typing import Any

import pytest
from tests.integration.files import results
from tests.integration.files.conftest import NAMESPACE, OTHER_TOKEN, Api
from tests.integration.files.results import Of
from tests.unit.api.fakes import GOOD_TOKEN

from audiojob_store.ticket import PART_BYTES

UID = "5f1e0000-0000-4000-8000-000000000001"
SONG = b"fLaC" + secrets.token_bytes(65_536) * 257  # two parts


BOTH = pytest.mark.parametrize("store_kind", ["Folder", "S3"])


async def upload(api: Api, content: bytes = SONG, **more: Any) -> str:
    """A complete upload; its id."""
    announced = {"name": "Ein Lied.flac", "bytes": len(content), "mediaType": "audio/flac", **more}
    status, headers, made = await api.ask("POST", "/uploads", json=announced)
    assert (status, headers["Location"]) == (201, f"/api/v1/uploads/{made['id']}"), made
    for number in range(made["partCount"], 0, -1):
        part = content[(number - 1) * PART_BYTES : number * PART_BYTES]
        status, _, found = await api.ask("PUT", f"/uploads/{made['id']}/parts/{number}", data=io.BytesIO(part))
        assert (status, found["sha256"]) == (200, hashlib.sha256(part).hexdigest()), found
    status, _, found = await api.ask("POST", f"/uploads/{made['id']}/complete")
    assert (status, found["complete"]) == (200, True), found
    return str(made["id"])


def publish(api: Api, phase: str, outputs: dict[str, bytes], *, intermediate: bool = False) -> dict[str, Any]:
    """A phase's results in the store; the phase's row of a status."""
    more = {"intermediate": intermediate, "createdTime": "2026-11-29T00:00:00Z"}
    return results.publish(api.service.own, Of(NAMESPACE, "song", UID, phase), outputs, ("one\n", "two\n"), **more)


def put(api: Api, state: str, *phases: dict[str, Any], **status: Any) -> None:
    api.backend.store({
        "metadata": {"name": "song", "uid": UID}, "spec": {"pipeline": "separate"},
        "status": {"state": state, "phases": list(phases), **status},
    })  # fmt: skip


@BOTH
async def test_a_song_goes_in_by_parts_and_is_the_source_of_a_job_of_its_maker_alone(api: Api) -> None:
    made = await upload(api, sha256=hashlib.sha256(SONG).hexdigest())
    key = f"{made}/Ein Lied.flac"
    assert (api.service.own / "uploads" / key).read_bytes() == SONG
    job = {"name": "song", "pipeline": "separate", "source": {"upload": made}}
    other = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    for method, path, body in (
        ("GET", f"/uploads/{made}", None), ("DELETE", f"/uploads/{made}", None), ("POST", "/jobs", job),
        ("POST", f"/uploads/{made}/complete", None), ("PUT", f"/uploads/{made}/parts/2", {}),
    ):  # fmt: skip
        status, _, said = await api.ask(method, path, json=body, headers=other)
        assert (status, said["detail"]) == (404, "There is no such upload."), (method, path)  # W10
    api.backend.pipelines.put("separate", {"name": "split", "task": "Separate"})
    assert (await api.ask("POST", "/estimate", json=job, headers=other))[0] == 404
    assert (await api.ask("POST", "/jobs", json=job))[0] == 201
    assert api.backend.objects["song"]["spec"]["source"] == {"object": {"key": key}}
    length = [{"name": "vocals", "durationMilliseconds": 90_000}]
    api.backend.put("song", state="Succeeded", completionTime="2026-11-29T00:00:00Z", outputs=length)
    _, _, found = await api.ask("POST", "/estimate", json={**job, "name": "again"})
    assert found["media"] == {"basis": "Measured", "seconds": 90}, "a job has worked on this upload"
    api.backend.put("song", state="Failed")
    status, _, said = await api.ask("DELETE", f"/uploads/{made}")
    assert (status, said["type"]) == (409, "/problems/upload-in-use")
    api.backend.remove("song")
    assert (await api.ask("DELETE", f"/uploads/{made}"))[0] == 204
    assert (await api.ask("POST", "/jobs", json=job))[0] == 404
    both = {**job, "source": {"upload": made, "url": "https://example.org/a"}}
    assert (await api.ask("POST", "/jobs", json=both))[0] == 422


@BOTH
async def test_addresses_in_answers_lead_into_the_namespace_that_was_asked_about(api: Api) -> None:
    announced = {"name": "a.flac", "bytes": 4, "mediaType": "audio/flac"}
    status, headers, made = await api.ask("POST", f"/uploads?namespace={NAMESPACE}", json=announced)
    assert (status, headers["Location"]) == (201, f"/api/v1/uploads/{made['id']}?namespace={NAMESPACE}")
    assert made["partUrl"] == f"/api/v1/uploads/{made['id']}/parts/{{part}}?namespace={NAMESPACE}"
    sent = await api.ask("PUT", made["partUrl"].removeprefix("/api/v1").format(part=1), data=io.BytesIO(b"fLaC"))
    assert sent[0] == 200
    put(api, "Succeeded", publish(api, "separate", {"vocals": SONG}))
    _, _, listed = await api.ask("GET", f"/jobs/song/outputs?namespace={NAMESPACE}")
    url = listed["outputs"][0]["url"]
    assert url == f"/api/v1/jobs/song/outputs/vocals?phase=separate&namespace={NAMESPACE}"
    assert (await api.ask("GET", url.removeprefix("/api/v1")))[2] == SONG


async def test_outputs_come_out_whole_by_range_and_as_a_zip(api: Api) -> None:
    stems = {"vocals": SONG, "drums": SONG[:1000]}
    put(api, "Succeeded", publish(api, "fetch", {"source": b"abc"}), publish(api, "separate", stems))
    _, _, listed = await api.ask("GET", "/jobs/song/outputs")
    assert [(each["phase"], each["file"], each["bytes"]) for each in listed["outputs"]] == [
        ("fetch", "Ein Lied.flac", 3), ("separate", "Ein Lied (vocals).flac", len(SONG)),
        ("separate", "Ein Lied (drums).flac", 1000),
    ]  # fmt: skip
    status, headers, content = await api.ask("GET", "/jobs/song/outputs/vocals")
    assert (status, content, headers["Content-Length"]) == (200, SONG, str(len(SONG)))
    assert headers["Content-Security-Policy"].startswith("sandbox")
    for path, size in (("outputs/vocals", len(SONG)), ("outputs.zip", None), ("logs?follow=true", None)):
        status, head, nothing = await api.ask("HEAD", f"/jobs/song/{path}")
        assert (status, nothing) == (200, b"")
        assert size is None or (head["Content-Length"], head["ETag"]) == (str(size), headers["ETag"])
    part = {"Range": "bytes=1000-1999", "If-Range": headers["ETag"]}
    status, _, content = await api.ask("GET", "/jobs/song/outputs/vocals?phase=separate", headers=part)
    assert (status, content) == (206, SONG[1000:2000])
    status, headers, content = await api.ask("GET", "/jobs/song/outputs.zip")
    assert (status, headers["Content-Length"]) == (200, str(len(content)))
    assert 'filename="Ein Lied.zip"' in headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["Ein Lied (vocals).flac", "Ein Lied (drums).flac"]
    status, _, content = await api.ask("GET", "/jobs/song/logs?phase=separate&tail=1")
    assert (status, content) == (200, b"two\n")
    _, _, content = await api.ask("GET", "/jobs/song/logs?phase=separate&follow=true")
    assert content.decode() == (  # a piece at a time, which memory has room for
        'event: log\nid: 1\ndata: {"text": "one\\n"}\n\nevent: log\nid: 2\ndata: {"text": "two\\n"}\n\n'
        'event: end\ndata: {"phase": "separate", "attempt": 1}\n\n'
    )
    foreign = {"Last-Event-ID": "9" * 20}
    assert (await api.ask("GET", "/jobs/song/logs?phase=separate&follow=true", headers=foreign))[2] == content


@BOTH
async def test_what_is_not_there_says_why(api: Api) -> None:
    found = publish(api, "separate", {"vocals": b"abc"})
    asked = ("/jobs/song/outputs", "/jobs/song/outputs.zip", "/jobs/song/outputs/vocals", "/jobs/song/outputs/none")

    async def statuses() -> list[int]:
        return [(await api.ask("GET", path))[0] for path in asked]

    put(api, "Running", found, {"name": "publish", "attempt": 1, "state": "Running"})
    assert await statuses() == [202, 202, 200, 202]  # W20
    assert (await api.ask("GET", asked[0]))[1]["Retry-After"]
    put(api, "Failed", found, error={"phase": "publish", "message": "The library is full."})
    assert await statuses() == [409, 409, 200, 409]
    assert "The library is full." in (await api.ask("GET", asked[0]))[2]["detail"]
    put(api, "Succeeded", found)
    assert await statuses() == [200, 200, 200, 404]
    (api.service.own / UID / "separate/1-abcdefgh/vocals.flac").unlink()
    assert await statuses() == [200, 410, 410, 404]
    (api.service.own / UID / "separate/1-abcdefgh/manifest.json").write_text("{}")
    assert await statuses() == [410, 410, 410, 410]
    (api.service.own / UID / "separate/1-abcdefgh/manifest.json").unlink()
    assert await statuses() == [410, 410, 410, 410]
    assert (await api.ask("GET", "/jobs/other/outputs"))[0] == 404
    assert (await api.ask("GET", "/jobs/song/logs?phase=none"))[0] == 404


async def test_bodies_over_their_limit_and_services_that_are_away_are_told_at_once(api: Api) -> None:
    status, _, said = await api.ask("PUT", f"/uploads/up-{'0' * 32}/parts/1", data=io.BytesIO(bytes(PART_BYTES + 1)))
    assert (status, "in parts, of partBytes each" in said["detail"]) == (413, True)
    status, _, _ = await api.ask("POST", "/uploads", data=io.BytesIO(bytes(300_000)))
    assert status == 413  # only parts may be large
    status, _, said = await api.ask("POST", "/uploads", json={"name": "a", "bytes": 0})
    assert (status, said["errors"][0]["pointer"]) == (422, "/bytes")
    api.files._url = "http://127.0.0.1:9"
    status, headers, said = await api.ask("POST", "/uploads", json={"name": "a", "bytes": 1})
    assert (status, headers["Retry-After"], said["type"]) == (503, "5", "/problems/unavailable")  # W21


async def test_of_a_client_that_leaves_nothing_goes_on_behind_it(api: Api) -> None:
    size = 4 * 1024**3
    publish(api, "separate", {"vocals": b""})
    path = api.service.own / UID / "separate/1-abcdefgh/vocals.flac"
    with path.open("wb") as file:
        file.truncate(size)
    manifest = path.with_name("manifest.json")
    changed = json.loads(manifest.read_bytes())
    changed["outputs"][0]["bytes"] = size
    manifest.write_text(json.dumps(changed))
    sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
    key = f"{NAMESPACE}/{UID}/separate/1-abcdefgh/manifest.json"
    put(api, "Succeeded", {"name": "separate", "attempt": 1, "manifest": {"key": key, "sha256": sha256}})
    headers = {"Authorization": f"Bearer {GOOD_TOKEN}"}
    answer = await api.session.get("/api/v1/jobs/song/outputs.zip", headers=headers)
    assert await answer.content.readexactly(1000)
    assert len(open_connections(api)) == 1
    answer.close()
    async with asyncio.timeout(5):  # W17
        while open_connections(api):  # noqa: ASYNC110 - the session has no event of it
            await asyncio.sleep(0.01)


def open_connections(api: Api) -> set[Any]:
    """Those from the API to the service that are in use."""
    assert api.files._session is not None
    connector = api.files._session.connector
    assert connector is not None
    return set(connector._acquired)
