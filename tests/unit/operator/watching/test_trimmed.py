"""What kopf gets to parse of an answer: the AudioJobs without what no decision reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kopf._cogs.clients.api import iter_jsonlines

from audiojob_operator.watching.trimmed import TrimmedResponse, trimmed_line

LIST = "/apis/audiojobs.dev/v1alpha1/audiojobs"


def job(name: str = "song", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "audiojobs.dev/v1alpha1",
        "kind": "AudioJob",
        "metadata": {"name": name, "namespace": "music", "uid": f"uid-{name}", "resourceVersion": "7", **metadata},
        "spec": {"pipeline": "separate"},
        "status": {"state": "Pending"},
    }


LARGE = job(annotations={"note": "x" * 300_000}, managedFields=[{"manager": "kubectl"}])


def line(event: object) -> bytes:
    return json.dumps(event).encode()


def test_of_an_event_kopf_gets_what_names_the_object_and_what_decisions_read() -> None:
    event = json.loads(trimmed_line(line({"type": "MODIFIED", "object": LARGE})))
    assert event["type"] == "MODIFIED"
    assert event["object"]["metadata"].pop("digest")
    assert event["object"] == job()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(line({"type": "BOOKMARK", "object": job(annotations={"last": "true"})}), id="a bookmark"),
        pytest.param(line({"type": "ERROR", "object": {"kind": "Status", "code": 410}}), id="an error"),
        pytest.param(line({"type": "NEW", "object": job()}), id="an event of a kind to come"),
        pytest.param(b'{"type": "MODIFIED", "obj', id="a line that was cut off"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"7", id="a number"),
        pytest.param(line({"type": "ADDED", "object": {"kind": "AudioJob"}}), id="an object without metadata"),
        pytest.param(line({"type": "ADDED", "object": None}), id="an event of nothing"),
        pytest.param(line({"type": ["ADDED"], "object": job()}), id="a type that is none"),
        pytest.param(b"", id="an empty line"),
    ],
)  # fmt: skip
def test_what_is_no_change_of_an_audiojob_is_left_to_kopf(text: bytes) -> None:
    assert trimmed_line(text) == text


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """An API server's three answers: a list, a watch whose lines are longer than aiohttp's buffer, a refusal."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "denied" in request.query:
            return web.json_response({"kind": "Status", "code": 403, "message": "no"}, status=403)
        if "watch" not in request.query:
            return web.json_response({"kind": "AudioJobList", "metadata": {"resourceVersion": "7"}, "items": [LARGE]})
        response = web.StreamResponse()
        await response.prepare(request)
        lines = b"\n".join(line({"type": kind, "object": LARGE}) for kind in ("ADDED", "MODIFIED"))
        for at in range(0, len(lines), 100_000):
            await response.write(lines[at : at + 100_000])
        await response.write(b'\n{"type": "BOOKMARK"')  # and the connection ends
        return response

    async def other(_request: web.Request) -> web.Response:
        return web.json_response({"items": [LARGE]})

    app = web.Application()
    app.router.add_get(LIST, answer)
    app.router.add_get("/other", other)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(response_class=TrimmedResponse) as opened:
        yield opened


async def test_a_page_is_trimmed_and_not_kept_beside(server: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{server}{LIST}") as response:
        page = await response.json()
    assert page["metadata"] == {"resourceVersion": "7"}
    assert page["items"][0]["metadata"].keys() == {"name", "namespace", "uid", "resourceVersion", "digest"}
    assert response._body is None


async def test_kopf_reads_a_watch_line_by_line(server: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{server}{LIST}?watch=true") as response:
        lines = [each async for each in iter_jsonlines(response.content)]
    assert [json.loads(each)["type"] for each in lines[:2]] == ["ADDED", "MODIFIED"]
    assert max(map(len, lines)) < 500
    assert lines[2:] == [b'{"type": "BOOKMARK"']


async def test_other_answers_and_refusals_stay_as_they_are(server: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{server}/other") as response:
        assert await response.json() == {"items": [LARGE]}
    for query in ("denied", "denied&watch=true"):
        async with session.get(f"{server}{LIST}?{query}") as response:
            assert (await response.json())["message"] == "no"
