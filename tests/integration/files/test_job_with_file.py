"""A job and its file in one request: streamed through, made whole, and gone where the job is refused."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import secrets
from typing import Any

import aiohttp
import pytest
from tests.integration.files.conftest import OTHER_TOKEN, Api
from tests.unit.api.fakes import GOOD_TOKEN

from audiojob_api.files.ports import Call
from audiojob_kube.errors import Forbidden, TransportError
from audiojob_store.ticket import Verb

SONG = b"fLaC" + secrets.token_bytes(65_536) * 257  # more than a part of an upload
JOB = {"name": "song", "pipeline": "separate"}


def form(job: Any = JOB, content: bytes = SONG, name: str = "Ein Lied.flac", kind: str = "audio/flac") -> Any:
    """As `curl -F job=@job.json -F file=@song.flac` sends it."""
    made = aiohttp.MultipartWriter("form-data")
    part = made.append(json.dumps(job), {"Content-Type": "application/json"})
    part.set_content_disposition("form-data", name="job")
    part = made.append(io.BytesIO(content), {"Content-Type": kind})
    part.set_content_disposition("form-data", quote_fields=False, name="file", filename=name)
    return made


def stored(api: Api) -> list[str]:
    """All files of uploads, whole or not."""
    return sorted(path.name for path in (api.service.own / "uploads").rglob("*") if path.is_file())


@pytest.mark.parametrize("store_kind", ["Folder", "S3"])
async def test_a_song_comes_with_its_job_and_is_the_jobs_source(api: Api) -> None:
    status, headers, made = await api.ask("POST", "/jobs", data=form())
    assert (status, headers["Location"]) == (201, "/api/v1/jobs/song"), made
    key = api.backend.objects["song"]["spec"]["source"]["object"]["key"]
    assert (api.service.own / "uploads" / key).read_bytes() == SONG
    assert key.endswith("/Ein Lied.flac")
    status, _, shown = await api.ask("GET", f"/uploads/{key.partition('/')[0]}")
    assert (shown["complete"], shown["sha256"], shown["bytes"]) == (True, hashlib.sha256(SONG).hexdigest(), len(SONG))
    other = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    assert (await api.ask("GET", f"/uploads/{key.partition('/')[0]}", headers=other))[0] == 404  # W10


@pytest.mark.parametrize("store_kind", ["Folder", "S3"])
async def test_the_same_key_makes_one_job_and_one_upload_and_refuses_another_file(api: Api) -> None:
    job, key = {"pipeline": "separate"}, {"Idempotency-Key": "monday"}
    answers = await asyncio.gather(*(api.ask("POST", "/jobs", data=form(job), headers=key) for _ in range(3)))
    assert sorted(status for status, _, _ in answers) == [200, 200, 201], answers
    assert len({made["name"] for _, _, made in answers}) == 1
    assert stored(api) == [".upload.json", "Ein Lied.flac"]
    status, _, said = await api.ask("POST", "/jobs", data=form(job, SONG + b"x"), headers=key)
    assert (status, said["type"]) == (422, "/problems/upload-differs")
    status, _, said = await api.ask("POST", "/jobs", data=form({"pipeline": "karaoke"}), headers=key)
    assert (status, said["type"]) == (422, "/problems/idempotency-key-reused")
    assert stored(api) == [".upload.json", "Ein Lied.flac"]  # the job of the first request may read it


REFUSED = [
    pytest.param({"job": {"pipelin": "separate"}}, 422, "/problems/invalid-request", id="misspelt field"),
    pytest.param({"job": {**JOB, "source": {"url": "https://a"}}}, 422, "/problems/invalid-request", id="two sources"),
    pytest.param({"job": {**JOB, "name": "x" * 300_000}}, 413, "/problems/request-entity-too-large", id="a large job"),
    pytest.param({"content": b""}, 422, "/problems/empty-upload", id="empty file"),
    pytest.param({"content": b"\x7fELF" + SONG}, 422, "/problems/not-media", id="a program"),
    pytest.param({"kind": "text/html"}, 415, "/problems/media-type-not-taken", id="a type that is not taken"),
    pytest.param({"content": bytes(65 * 1024**2)}, 413, "/problems/upload-too-large", id="larger than is taken"),
    pytest.param({"name": "x" * 300}, 422, "/problems/invalid-request", id="W15 a name of 300 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "status", "kind"), REFUSED)
async def test_what_is_refused_leaves_neither_job_nor_upload(api: Api, given: Any, status: int, kind: str) -> None:
    answer = await api.ask("POST", "/jobs", data=form(**given))
    assert (answer[0], answer[2]["type"]) == (status, kind), answer
    assert stored(api) == []
    assert not api.backend.objects


async def test_of_a_job_that_the_cluster_refuses_no_upload_is_left_but_of_one_that_may_be_made_it_is(api: Api) -> None:
    api.backend.failure = Forbidden(403, "Forbidden", "exceeded quota: jobs")
    status, _, said = await api.ask("POST", "/jobs", data=form())
    assert (status, said["type"]) == (403, "/problems/refused")
    assert stored(api) == []
    api.backend.failure = TransportError("the connection was reset")
    assert (await api.ask("POST", "/jobs", data=form()))[0] == 503
    assert stored(api) == [".upload.json", "Ein Lied.flac"]  # the sweeper asks whether a job names it


async def test_strangers_are_refused_before_the_file_comes(api: Api) -> None:
    async with api.session.post("/api/v1/jobs", data=form()) as answer:
        assert answer.status == 401
    status, _, _ = await api.ask("POST", "/jobs", data=form(), headers={"Authorization": "Bearer wrong"})
    assert status == 401
    assert stored(api) == []


def raw(*pieces: bytes, length: int | None = None, kind: str = "multipart/form-data; boundary=b") -> bytes:
    """A request as its bytes; the length is that of the body unless another one is told."""
    body = b"".join(pieces)
    head = f"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {GOOD_TOKEN}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


JOB_PART = b'--b\r\nContent-Disposition: form-data; name="job"\r\n\r\n{"pipeline": "separate"}\r\n'
FILE_PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n\xff\xfb\x90\x00\r\n'
BAD_FORMS = [
    pytest.param((FILE_PART, JOB_PART, b"--b--\r\n"), b"422", id="the file first"),
    pytest.param((JOB_PART, b"--b--\r\n"), b"422", id="no file"),
    pytest.param((JOB_PART, FILE_PART, FILE_PART, b"--b--\r\n"), b"400", id="two files"),
    pytest.param((JOB_PART, FILE_PART[:-2], bytes(100)), b"400", id="no end"),
    pytest.param((b"--c\r\n",), b"400", id="another boundary"),
]


async def send(api: Api, request: bytes) -> bytes:
    """The first line of the answer."""
    port = api.session._base_url.port  # type: ignore[union-attr]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize(("pieces", "status"), BAD_FORMS)
async def test_a_form_that_is_not_as_it_must_be_leaves_nothing(api: Api, pieces: tuple[bytes], status: bytes) -> None:
    assert status in await send(api, raw(*pieces))
    assert stored(api) == []
    assert not api.backend.objects


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(api: Api) -> None:
    port = api.session._base_url.port  # type: ignore[union-attr]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw(JOB_PART, FILE_PART[:-2], SONG, length=3 * len(SONG)))
    incoming = api.service.own / "uploads/.incoming"
    async with asyncio.timeout(10):
        while not any(path.stat().st_size for path in incoming.glob("*/data")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.close()
        while any(incoming.iterdir()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert stored(api) == []


async def test_a_form_tells_its_length(api: Api) -> None:
    async def pieces() -> Any:
        yield JOB_PART + FILE_PART + b"--b--\r\n"

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    status, _, said = await api.ask("POST", "/jobs", data=pieces(), headers=kind)
    assert (status, said["type"]) == (411, "/problems/length-required")


FREE = {"storedBytes": len(SONG) + 1_000, "maxUploadBytes": len(SONG)}
LIMITS = {"kubernetesTier": "free", "tiers": {"free": FREE}}


@pytest.mark.parametrize("api", [pytest.param(LIMITS, id="room for one song")], indirect=True)
async def test_bytes_are_counted_before_they_come_and_given_back_when_they_go(api: Api) -> None:
    status, _, said = await api.ask("POST", "/jobs", data=form(content=SONG + b"x"))
    assert (status, said["type"]) == (413, "/problems/upload-too-large")
    assert (await api.ask("POST", "/jobs", data=form(kind="text/html")))[0] == 415
    assert (await api.ask("POST", "/uploads", json={"name": "a", "bytes": 300, "mediaType": "text/html"}))[0] == 415
    assert (await api.ask("POST", "/jobs", data=form()))[0] == 201, "what was refused does not count"
    announced = {"name": "a.mp3", "bytes": 1_001, "mediaType": "audio/mpeg"}
    status, _, said = await api.ask("POST", "/uploads", json=announced)
    assert (status, said["type"]) == (429, "/problems/limit-reached")
    assert "leaves 1000, and this one has 1001" in said["detail"], "the file's own bytes count, not its form's"
    assert (await api.ask("POST", "/jobs", data=form()))[0] == 429
    status, _, made = await api.ask("POST", "/uploads", json={**announced, "bytes": 1_000})
    assert status == 201
    assert (await api.ask("POST", "/uploads", json={**announced, "bytes": 1}))[0] == 429
    assert (await api.ask("DELETE", f"/uploads/{made['id']}"))[0] == 204
    assert (await api.ask("POST", "/uploads", json={**announced, "bytes": 1_000}))[0] == 201
    other = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    assert (await api.ask("POST", "/uploads", json=announced, headers=other))[0] == 201


@pytest.mark.parametrize("api", [pytest.param(LIMITS, id="room for one song")], indirect=True)
async def test_what_is_stored_counts_though_the_same_request_fails_when_it_is_sent_again(api: Api) -> None:
    key, job = {"Idempotency-Key": "monday"}, {"pipeline": "separate"}
    assert (await api.ask("POST", "/jobs", data=form(job), headers=key))[0] == 201
    broken = form(job)
    broken.append("more").set_content_disposition("form-data", name="more")
    for body, kind in ((broken, "invalid-multipart"), (form(job, SONG[:-1]), "upload-differs")):
        status, _, said = await api.ask("POST", "/jobs", data=body, headers=key)
        assert (status in (400, 422), said["type"]) == (True, f"/problems/{kind}")
        announced = {"name": "a.mp3", "bytes": 1_001, "mediaType": "audio/mpeg"}
        status, _, said = await api.ask("POST", "/uploads", json=announced)
        assert (status, said["type"]) == (429, "/problems/limit-reached"), kind
        assert "leaves 1000" in said["detail"], kind


FEW = {"kubernetesTier": "free", "tiers": {"free": {"jobsPerDay": 1, "mostUrgent": 5}}}


@pytest.mark.parametrize("api", [pytest.param(FEW, id="one job a day")], indirect=True)
async def test_a_job_over_a_limit_is_refused_before_its_file_comes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Verb] = []
    real = api.files.open

    def watched(call: Call) -> Any:
        asked.append(call.verb)
        return real(call)

    monkeypatch.setattr(api.files, "open", watched)
    urgent = await api.ask("POST", "/jobs", data=form({"pipeline": "separate", "priority": 9}))
    assert (urgent[0], urgent[2]["errors"][0]["pointer"], asked) == (422, "/priority", [])
    again = {"Idempotency-Key": "order-1"}
    for code in (201, 200):
        status, heads, _ = await api.ask("POST", "/jobs", data=form({"pipeline": "separate"}), headers=again)
        assert (status, heads["RateLimit"].count("jobs-day")) == (code, 1)
    del asked[:]
    status, heads, said = await api.ask("POST", "/jobs", data=form())
    assert (status, said["type"], asked) == (429, "/problems/limit-reached", [])
    assert heads["RateLimit"].startswith('"jobs-day";r=0')
