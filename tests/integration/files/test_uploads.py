"""What comes in: rows W10 to W15, W21 and W23 of the table of bad input."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
import json
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.integration.files.conftest import Service

from audiojob_files.refusals import Refusal
from audiojob_files.uploads.folder import Uploads
from audiojob_files.uploads.record import Limits
from audiojob_store.ticket import PART_BYTES

ID = "up-" + "0123456789abcdef" * 2
OWNER = "a" * 64
SONG = random.Random(16).randbytes(65_536) * 256 + b"the end" * 100  # two parts
SHA = hashlib.sha256(SONG).hexdigest()


def part(number: int, content: bytes = SONG) -> bytes:
    return content[(number - 1) * PART_BYTES : number * PART_BYTES]


def body(content: Any) -> Any:
    return io.BytesIO(content) if isinstance(content, bytes) else content


def digest(content: bytes) -> dict[str, str]:
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}


async def ask(files: Service, method: str, path: str, verb: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and body; ``data`` and ``headers`` of the request, the rest are claims."""
    options = {name: more.pop(name) for name in ("data", "headers") if name in more}
    upload = more.pop("upload", ID)
    ticket = files.ticket(verb, more.pop("key", upload), **{"owner": OWNER, **more})
    async with files.call(method, f"/v1/uploads/{upload}{path}", ticket, **options) as answer:
        content = await answer.read()
        return answer.status, json.loads(content) if content else {}


async def create(files: Service, **claims: Any) -> tuple[int, dict[str, Any]]:
    given = {"size": len(SONG), "name": "Ein Lied.flac", "type": "audio/flac", **claims}
    return await ask(files, "POST", "", "create", **given)


async def send(files: Service, number: int, content: bytes | None = None, **more: Any) -> tuple[int, dict[str, Any]]:
    given = body(part(number) if content is None else content)
    return await ask(files, "PUT", "/part", "part", part=number, data=given, **more)


async def complete(files: Service, **claims: Any) -> tuple[int, dict[str, Any]]:
    return await ask(files, "POST", "/complete", "complete", **claims)


async def status(files: Service, **claims: Any) -> tuple[int, dict[str, Any]]:
    return await ask(files, "GET", "", "status", **claims)


def uploads(files: Service) -> list[str]:
    return sorted(str(path.relative_to(files.own)) for path in files.own.rglob("*") if path.is_file())


async def test_parts_in_any_order_at_once_and_again_make_an_upload_that_is_whole(files: Service) -> None:
    code, made = await create(files, sha256=SHA)
    assert (code, made["partBytes"], made.get("parts")) == (201, PART_BYTES, [])
    sent = await asyncio.gather(send(files, 2), send(files, 2, headers=digest(part(2))), send(files, 2))  # W13
    assert [code for code, _ in sent] == [200, 200, 200]
    code, found = await complete(files)
    assert (code, found["type"]) == (409, "/problems/parts-lacking")
    assert "parts first: 1" in found["detail"]
    assert not (files.own / "uploads" / ID).exists()
    assert (await status(files))[1]["parts"] == [2]
    assert (await send(files, 1, headers=digest(part(1))))[0] == 200
    first = await complete(files)
    assert first == await complete(files)  # W14
    assert first[1] | {"parts": []} == {
        "id": ID, "name": "Ein Lied.flac", "bytes": len(SONG), "mediaType": "audio/flac", "partBytes": PART_BYTES,
        "parts": [], "complete": True, "sha256": SHA, "key": f"{ID}/Ein Lied.flac",
    }  # fmt: skip
    assert (files.own / "uploads" / ID / "Ein Lied.flac").read_bytes() == SONG
    assert uploads(files) == [f"uploads/{ID}/.upload.json", f"uploads/{ID}/Ein Lied.flac"]
    assert (await send(files, 2))[0] == 409  # W14
    os.utime(files.own / "uploads" / ID / ".upload.json", (1, 1))
    assert (await ask(files, "POST", "/use", "use"))[1]["key"] == f"{ID}/Ein Lied.flac"
    assert (files.own / "uploads" / ID / ".upload.json").stat().st_mtime > 1
    assert (await ask(files, "DELETE", "", "delete"))[0] == 204
    assert uploads(files) == []
    assert (await status(files))[0] == 404


async def test_files_that_are_completed_leave_threads_for_others(
    files: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real, begun = threading.Event(), Uploads.complete, list[None]()

    def long(*given: Any) -> Any:
        begun.append(None)
        gate.wait(30)
        return real(*given)

    monkeypatch.setattr(Uploads, "complete", long)
    ids = [f"up-{number:032x}" for number in range(40)]  # more than asyncio has threads
    for each in ids:
        assert (await create(files, upload=each))[0] == 201
    waiting = [asyncio.create_task(complete(files, upload=each)) for each in ids]
    try:
        while len(begun) < 2:  # noqa: ASYNC110 - a thread tells
            await asyncio.sleep(0.01)
        assert (await asyncio.wait_for(status(files, upload=ids[0]), 10))[0] == 200
    finally:
        gate.set()
        assert {code for code, _ in await asyncio.gather(*waiting)} == {409}


BAD_PARTS = [
    pytest.param(1, part(1) + b"x", {}, 413, "/problems/part-too-large", id="W11 longer than told"),
    pytest.param(2, part(2)[:-1], {}, 422, "/problems/part-too-small", id="W11 shorter"),
    pytest.param(3, b"x", {}, 404, "/problems/no-such-part", id="a part too many"),
    pytest.param(2, part(2), digest(b"else"), 422, "/problems/checksum-mismatch", id="W11 another digest"),
    pytest.param(2, part(2), {"Content-Digest": "md5=:AAAA:"}, 400, "/problems/bad-digest", id="another algorithm"),
]


@pytest.mark.parametrize(("number", "content", "headers", "code", "kind"), BAD_PARTS)
async def test_a_part_that_is_not_as_told_is_refused_and_not_there(
    files: Service, number: int, content: bytes, headers: dict[str, str], code: int, kind: str
) -> None:
    await create(files)
    answer = await send(files, number, content, headers=headers)
    assert (answer[0], answer[1]["type"]) == (code, kind)
    assert (await status(files))[1]["parts"] == []


async def test_of_a_part_without_a_length_no_byte_more_than_its_own_is_taken(files: Service) -> None:
    await create(files)

    async def endless() -> Any:
        while True:
            yield b"x" * 1_000_000

    try:
        code, found = await asyncio.wait_for(send(files, 2, endless()), 20)
        assert (code, found["type"]) == (413, "/problems/part-too-large")
    except OSError:
        pass  # the connection was closed while we wrote
    assert (files.own / "uploads/.incoming" / ID / "data").stat().st_size == 0


async def test_a_part_with_other_bytes_and_an_upload_with_another_sum_leave_what_is_there(files: Service) -> None:
    await create(files, sha256="0" * 64)
    for number in (1, 2):
        await send(files, number)
    answer = await send(files, 2, b"y" * 700)
    assert (answer[0], answer[1]["type"]) == (409, "/problems/part-differs")  # W13
    answer = await send(files, 2, headers=digest(b"else"))
    assert (answer[0], answer[1]["type"]) == (422, "/problems/checksum-mismatch"), "also of a part that is there"
    answer = await complete(files)
    assert (answer[0], answer[1]["type"]) == (422, "/problems/checksum-mismatch")  # W11
    assert (await status(files))[1]["parts"] == [1, 2]
    assert not (files.own / "uploads" / ID).exists()


async def test_parts_that_a_crash_of_the_node_lost_are_asked_for_again(files: Service) -> None:
    await create(files)
    for number in (1, 2):
        await send(files, number)
    with (files.own / "uploads/.incoming" / ID / "data").open("r+b") as file:
        file.write(bytes(4096))
    answer = await complete(files)
    assert (answer[0], answer[1]["detail"]) == (409, "Send these parts again: 1.")
    await send(files, 1)
    assert (await complete(files))[1]["sha256"] == SHA


REFUSED = [
    pytest.param({"size": 65 * 1024**2}, 413, "upload-too-large", id="larger than is taken"),
    pytest.param({"size": 0}, 422, "empty-upload", id="of no bytes"),
    pytest.param({"type": "text/html"}, 415, "media-type-not-taken", id="a web page"),
    pytest.param({"type": ""}, 415, "media-type-not-taken", id="of no type"),
]


@pytest.mark.parametrize(("claims", "code", "kind"), REFUSED)
async def test_what_is_not_taken_is_said_before_a_byte_is_sent(
    files: Service, claims: dict[str, Any], code: int, kind: str
) -> None:
    answer = await create(files, **claims)
    assert (answer[0], answer[1]["type"]) == (code, f"/problems/{kind}")
    assert uploads(files) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"<!DOCTYPE html><script>", "audio/mpeg", id="a web page"),
        pytest.param(b"\x7fELF\x02", "application/octet-stream", id="a program"),
        pytest.param(b"PK\x03\x04", "video/mp4", id="a zip"),
        pytest.param(b"a\0b", "text/plain", id="text that is none"),
    ],
)
async def test_what_is_surely_no_media_is_no_upload(files: Service, content: bytes, kind: str) -> None:
    await create(files, size=len(content), type=kind)
    await send(files, 1, content)
    answer = await complete(files)
    assert (answer[0], answer[1]["type"]) == (422, "/problems/not-media")
    assert not (files.own / "uploads" / ID).exists()


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        pytest.param("../../etc/passwd", "passwd", id="two dots"),
        pytest.param("a\0b.mp3", "ab.mp3", id="NUL"),
        pytest.param("x" * 300 + ".flac", "x" * 120 + ".flac", id="300 bytes"),
        pytest.param("a\r\nb.mp3", "a b.mp3", id="a line end"),
        pytest.param("\u202e3pm.exe", "3pm.exe", id="right to left"),
        pytest.param("CON", "_CON", id="a device"),
        pytest.param(".upload.json", "upload.json", id="our own record"),
        pytest.param("", "file", id="nothing"),
    ],
)
async def test_a_name_is_data_and_the_file_has_a_harmless_one(files: Service, name: str, stored: str) -> None:
    content = b"\xff\xfb\x90\x00"
    _, made = await create(files, name=name, size=len(content))
    assert made["name"] == name
    await send(files, 1, content)
    assert (await complete(files))[1]["key"] == f"{ID}/{stored}"
    assert (files.own / "uploads" / ID / stored).read_bytes() == content


async def test_somebody_elses_upload_is_not_there(files: Service) -> None:
    await create(files)
    other: dict[str, Any] = {"owner": "b" * 64}
    answers = [
        await status(files, **other), await send(files, 2, **other), await ask(files, "DELETE", "", "delete", **other),
        await ask(files, "POST", "/complete", "complete", **other), await ask(files, "POST", "/use", "use", **other),
    ]  # fmt: skip
    assert {(code, found["detail"]) for code, found in answers} == {(404, "There is no such upload.")}
    assert (await ask(files, "POST", "/use", "use"))[0] == 409  # its own, which is not complete


async def test_a_ticket_for_a_write_serves_once_and_for_its_own_upload_alone(files: Service) -> None:
    await create(files)
    ticket = files.ticket("part", ID, owner=OWNER, part=2)
    for expected in (200, 403):
        async with files.call("PUT", f"/v1/uploads/{ID}/part", ticket, data=part(2)) as answer:
            assert answer.status == expected
    assert (await send(files, 2, key="up-" + "f" * 32))[0] == 403
    assert (await send(files, 2, iat=1_700_000_000, exp=1_700_000_060))[0] == 403
    assert (await ask(files, "PUT", "/part", "status", part=2, data=part(2)))[0] == 403


async def test_what_nobody_completes_is_removed_after_a_day_and_no_earlier(files: Service) -> None:
    await create(files)
    store = Uploads(files.store, "music", Limits(1, 1, 0, ()))
    now, day = datetime.now(UTC), timedelta(hours=24)
    assert store.remove_unfinished(now + timedelta(hours=23), day) == 0
    await send(files, 2)
    assert store.remove_unfinished(now + timedelta(hours=25), day) == 1
    assert uploads(files) == []
    assert (await send(files, 2))[0] == 404


@pytest.mark.parametrize(
    ("size", "free", "promised", "fits"),
    [
        pytest.param(100, 200, 0, True, id="room for it"),
        pytest.param(100, 199, 0, False, id="W21 less than stays free"),
        pytest.param(100, 299, 100, False, id="W21 promised to others"),
    ],
)
def test_room_is_promised_once(size: int, free: int, promised: int, fits: bool) -> None:
    limits = Limits(max_bytes=10**9, max_open=5, min_free_bytes=100, media_types=())
    if fits:
        limits.check_room(size, free, promised)
        return
    with pytest.raises(Refusal) as refused:
        limits.check_room(size, free, promised)
    assert refused.value.status == 507


@pytest.mark.parametrize(
    ("opened", "own", "words"),
    [
        pytest.param(4, 1, None, id="room for both"),
        pytest.param(4, 2, "2 uploads of yours are not complete, which is the most; complete or remove one.", id="own"),
        pytest.param(5, 0, "Too many uploads are not complete.", id="everybody's"),
    ],
)
def test_uploads_that_are_not_complete_are_bounded_in_all_and_of_each_user(
    opened: int, own: int, words: str | None
) -> None:
    limits = Limits(max_bytes=1, max_open=5, min_free_bytes=0, media_types=(), max_open_each=2)
    if words is None:
        limits.check_open(opened, own)
        return
    with pytest.raises(Refusal) as refused:
        limits.check_open(opened, own)
    assert (refused.value.status, str(refused.value.detail)) == (429, words)


async def test_one_user_who_completes_nothing_keeps_nobody_else_from_uploading(tmp_path: Path) -> None:
    store = Uploads(tmp_path, "music", Limits(10, 5, 0, ("audio/*",), max_open_each=2))

    def create(number: int, owner: str) -> None:
        key = f"up-{number:032x}"
        claims = {"key": key, "owner": owner * 64, "size": 5, "type": "audio/flac", "name": "a.flac"}
        store.create(cast("Any", SimpleNamespace(**claims, sha256=None)), datetime.now(UTC))

    for number in range(2):
        create(number, "a")
    with pytest.raises(Refusal):
        create(2, "a")
    create(3, "b")


async def test_a_client_that_leaves_in_the_middle_leaves_no_part_and_the_next_one_sends_it(files: Service) -> None:
    await create(files)

    async def cut() -> Any:
        yield part(1)[:5_000_000]
        raise ConnectionError("gone")

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client library makes of it
        await send(files, 1, cut())
    assert (await status(files))[1]["parts"] == []
    assert (await send(files, 1))[0] == 200


async def test_of_a_part_that_fills_the_disk_nothing_is_kept_and_it_is_said(
    files: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(files)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    answer = await send(files, 2)
    assert (answer[0], answer[1]["type"]) == (507, "/problems/store-full")  # W21
    ticket = files.ticket("whole", "up-" + "e" * 32, owner=OWNER, size=9_000, name="a.flac", type="audio/flac")
    async with files.call("PUT", f"/v1/uploads/up-{'e' * 32}/whole", ticket, data=part(2)) as whole:
        assert whole.status == 507
    monkeypatch.undo()
    assert (await status(files))[1]["parts"] == []
    assert [path for path in uploads(files) if "e" * 32 in path] == []
    assert (await send(files, 2))[0] == 200
