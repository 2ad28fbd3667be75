"""A bucket as the store: what differs from a folder. The rest is tried with both kinds beside the folder's tests."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession
from tests.integration.files.conftest import NAMESPACE, Api, Service, in_bucket
from tests.integration.files.test_through_the_api import publish, put
from tests.support.buckets.gateway import Gateway

from audiojob_files.refusals import Refusal
from audiojob_files.serving.objects import BLOCK_BYTES
from audiojob_files.settings import FilesSettings
from audiojob_files.stored import stored_by
from audiojob_store.credentials import NoCredentials
from audiojob_store.ticket import PART_BYTES

pytestmark = pytest.mark.parametrize("store_kind", ["S3"])
SONG = b"fLaC" + secrets.token_bytes(65_536) * 257  # two parts
SHA = hashlib.sha256(SONG).hexdigest()


def stored(api: Api) -> list[str]:
    """All objects of uploads."""
    folder = api.service.own / "uploads"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def announce(api: Api, content: bytes = SONG, **more: Any) -> dict[str, Any]:
    given = {"name": "Ein Lied.flac", "bytes": len(content), "mediaType": "audio/flac", **more}
    status, _, made = await api.ask("POST", "/uploads", json=given)
    assert status == 201, made
    return dict(made)


async def put_file(url: str, content: bytes, headers: dict[str, str]) -> int:
    """As a client that knows the link alone; 400 too where the server hangs up while we write."""
    told = {**headers, "Content-Length": str(len(content))}
    async with ClientSession(skip_auto_headers=["Content-Type"]) as session:
        try:
            answer = await session.put(url, data=io.BytesIO(content), headers=told)
        except ClientError:
            return 400
        answer.close()
        return answer.status


async def test_parts_that_are_lost_with_the_pod_are_sent_again(api: Api, tmp_path: Path) -> None:
    made = await announce(api, sha256=SHA)
    path = f"/uploads/{made['id']}"
    assert (await api.ask("PUT", f"{path}/parts/2", data=io.BytesIO(SONG[PART_BYTES:])))[0] == 200
    shutil.rmtree(tmp_path / "parts" / NAMESPACE)
    assert (await api.ask("GET", path))[2]["parts"] == []
    status, _, said = await api.ask("POST", f"{path}/complete")
    assert (status, said["type"]) == (409, "/problems/parts-lacking")
    for number in (1, 2):
        part = SONG[(number - 1) * PART_BYTES : number * PART_BYTES]
        assert (await api.ask("PUT", f"{path}/parts/{number}", data=io.BytesIO(part)))[0] == 200
    assert (await api.ask("POST", f"{path}/complete"))[2]["sha256"] == SHA
    assert stored(api) == [f"{made['id']}/.upload.json", f"{made['id']}/Ein Lied.flac"]
    assert not [path for path in (tmp_path / "parts").rglob("*") if path.is_file()]
    os.utime(api.service.own / "uploads" / made["id"] / ".upload.json", (1, 1))
    job = {"name": "song", "pipeline": "separate", "source": {"upload": made["id"]}}
    assert (await api.ask("POST", "/jobs", json=job))[0] == 201
    assert (api.service.own / "uploads" / made["id"] / ".upload.json").stat().st_mtime > 1  # the sweeper asks this


async def test_a_file_is_put_by_a_link_and_what_is_put_later_changes_no_upload(api: Api) -> None:
    made = await announce(api, sha256=SHA)
    path = f"/uploads/{made['id']}"
    assert await put_file(made["putUrl"], SONG[:-1], made["putHeaders"]) >= 400  # another size than was told
    assert await put_file(made["putUrl"], SONG[:-1] + b"x", made["putHeaders"]) >= 400  # other bytes
    assert (await api.ask("POST", f"{path}/complete"))[0] == 409
    assert await put_file(made["putUrl"], SONG, made["putHeaders"]) == 200
    status, _, done = await api.ask("POST", f"{path}/complete")
    assert (status, done["complete"], done["sha256"]) == (200, True, SHA)
    assert "putUrl" not in done
    assert (await api.ask("POST", f"{path}/complete"))[2] == done
    await put_file(made["putUrl"], SONG, made["putHeaders"])  # the link lasts for some minutes
    file = api.service.own / "uploads" / made["id"] / "Ein Lied.flac"
    assert file.read_bytes() == SONG


async def test_what_is_put_by_the_link_of_an_upload_that_is_gone_is_removed_soon(
    api: Api, tmp_path: Path, gateway: Gateway
) -> None:
    gone, other = await announce(api), await announce(api)
    assert (await api.ask("DELETE", f"/uploads/{gone['id']}"))[0] == 204
    for each in (gone, other):
        assert await put_file(each["putUrl"], SONG, each["putHeaders"]) == 200
    given = in_bucket(tmp_path / "again", gateway, api.service.store.name)
    uploads = stored_by(FilesSettings(namespace=NAMESPACE, **given)).uploads
    assert uploads.remove_unfinished(datetime.now(UTC), timedelta(hours=24)) == 1
    assert stored(api) == [f".incoming/{other['id']}/put", f".incoming/{other['id']}/upload.json"]


async def test_a_place_of_parts_that_another_request_is_making_is_used(api: Api, tmp_path: Path) -> None:
    made = await announce(api)
    place = tmp_path / "parts" / NAMESPACE / "uploads/.incoming" / made["id"]
    shutil.rmtree(place)  # a new pod; a part that comes at the same time has got as far as this:
    place.mkdir()
    (place / "data").touch()
    assert (await api.ask("PUT", f"/uploads/{made['id']}/parts/2", data=io.BytesIO(SONG[PART_BYTES:])))[0] == 200
    assert (await api.ask("GET", f"/uploads/{made['id']}"))[2]["parts"] == [2]


async def test_what_was_put_is_looked_at_before_it_is_an_upload(api: Api) -> None:
    page = b"<!DOCTYPE html>" + bytes(100)
    made = await announce(api, page)
    assert await put_file(made["putUrl"], page, made["putHeaders"]) == 200
    status, _, said = await api.ask("POST", f"/uploads/{made['id']}/complete")
    assert (status, said["type"]) == (422, "/problems/not-media")
    assert not (api.service.own / "uploads" / made["id"] / "Ein Lied.flac").exists()
    assert (await api.ask("DELETE", f"/uploads/{made['id']}"))[0] == 204
    assert stored(api) == []


async def test_outputs_come_from_the_bucket_itself_where_that_is_asked(api: Api) -> None:
    put(api, "Succeeded", publish(api, "separate", {"vocals": SONG}))
    async with api.session.get(
        "/api/v1/jobs/song/outputs/vocals?direct=true", headers=api.headers, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (307, "no-store")
        url = answer.headers["Location"]
    async with ClientSession() as session, session.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, SONG)
        assert answer.headers["Content-Type"] == "audio/flac"
        assert "filename*=UTF-8''Ein%20Lied%20%28vocals%29.flac" in answer.headers["Content-Disposition"]
    async with ClientSession() as session, session.get(url.replace("vocals.flac", "other.flac")) as answer:
        assert answer.status == 403  # a link is for one file
    (api.service.own / "5f1e0000-0000-4000-8000-000000000001/separate/1-abcdefgh/vocals.flac").unlink()
    assert (await api.ask("GET", "/jobs/song/outputs/vocals?direct=true"))[0] == 410


async def test_pieces_of_objects_over_the_ends_of_blocks(files: Service) -> None:
    content = secrets.token_bytes(2 * BLOCK_BYTES + 5)
    (files.own / "uid/separate/1-a").mkdir(parents=True)
    (files.own / "uid/separate/1-a/vocals.flac").write_bytes(content)
    (files.own / "uid/separate/1-a/vocals.flac.gz").write_bytes(b"another file")
    claims = {"size": len(content), "sha256": "0" * 64, "name": "a.flac", "type": "audio/flac"}
    for asked, first, end in (
        (None, 0, len(content)), ("bytes=0-0", 0, 1), ("bytes=-1", len(content) - 1, len(content)),
        (f"bytes={BLOCK_BYTES - 1}-{BLOCK_BYTES}", BLOCK_BYTES - 1, BLOCK_BYTES + 1),
        (f"bytes=3-{2 * BLOCK_BYTES + 1}", 3, 2 * BLOCK_BYTES + 2),
    ):  # fmt: skip
        ticket = files.ticket("read", "music/uid/separate/1-a/vocals.flac", **claims)
        headers = {"Accept-Encoding": "gzip", **({"Range": asked} if asked else {})}
        async with files.call("GET", "/v1/file", ticket, headers=headers) as answer:
            assert await answer.read() == content[first:end], asked
    for key, size in (
        ("music/uid/separate/1-a/vocals.flac", 5), ("music/uid/separate/1-a/none", 5), ("music/uid/separate", 5),
        ("music/uid/separate/1-a/%2e%2e/x", 5),
    ):  # fmt: skip
        async with files.call("GET", "/v1/file", files.ticket("read", key, **{**claims, "size": size})) as answer:
            assert answer.status == 404, key
    async with files.call("GET", "/v1/file", files.ticket("read", "other/uid/a", **claims)) as answer:
        assert answer.status == 403


async def test_what_nobody_completes_is_removed_from_the_bucket(api: Api, tmp_path: Path, gateway: Gateway) -> None:
    made = await announce(api)
    assert await put_file(made["putUrl"], SONG, made["putHeaders"]) == 200
    (api.service.own / "uploads/by-hand.flac").write_bytes(b"mine")
    given = in_bucket(tmp_path / "again", gateway, api.service.store.name)
    uploads = stored_by(FilesSettings(namespace=NAMESPACE, **given)).uploads  # a new pod, which has no parts
    now, day = datetime.now(UTC), timedelta(hours=24)
    assert uploads.remove_unfinished(now + timedelta(hours=23), day) == 0
    assert uploads.remove_unfinished(now + timedelta(hours=25), day) == 1
    assert stored(api) == ["by-hand.flac"]
    assert (await api.ask("POST", f"/uploads/{made['id']}/complete"))[0] in (404, 409)


async def test_a_bucket_that_refuses_or_does_not_answer_is_the_stores_fault_and_says_so(
    store_kind: str, tmp_path: Path, gateway: Gateway
) -> None:
    settings = FilesSettings(namespace=NAMESPACE, **in_bucket(tmp_path, gateway, f"none-for-{store_kind.lower()}"))
    contents = stored_by(settings).contents
    with pytest.raises(Refusal) as refused:
        async with contents.opened("music/a", None):
            pass
    assert refused.value.status in (404, 503)
    secret = tmp_path / "credentials/secretAccessKey"
    secret.write_text("another")
    with pytest.raises(Refusal) as refused:
        async with stored_by(settings).contents.opened("music/a", None):
            pass
    assert (refused.value.status, refused.value.kind) == (503, "store-failed")
    secret.unlink()
    with pytest.raises(NoCredentials, match="secretAccessKey"):
        stored_by(settings)
