from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.integration.kube.scripted.conftest import QUICK, client_of
from tests.integration.kube.scripted.scripted_server import (
    Answer,
    ScriptedServer,
    job,
    listing,
    status_object,
)
from tests.support.polling import eventually

from audiojob_kube.client import AiohttpKubeClient, KubeClient, Timeouts, connect
from audiojob_kube.config import Connection, RefreshingToken
from audiojob_kube.errors import ApiError, ConfigError, Gone, NotFound, TooManyRequests, TransportError, Unauthorized
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, PODS, TOKENREVIEWS

JOBS_PATH = "/apis/audiojobs.dev/v1alpha1/namespaces/music/audiojobs"


Call = Callable[[KubeClient], Awaitable[object]]
WRITE = {"fieldManager": "audiojob-tester", "fieldValidation": "Strict"}


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (lambda c: c.get(AUDIOJOBS, "song", "music"), ("GET", f"{JOBS_PATH}/song", {}, None, None)),
        (
            lambda c: c.create(AUDIOJOBS, {"metadata": {"name": "song", "namespace": "music"}}),
            ("POST", JOBS_PATH, WRITE, {"metadata": {"name": "song", "namespace": "music"}}, "application/json"),
        ),
        (
            lambda c: c.create(TOKENREVIEWS, {"spec": {"token": "t"}}),
            (
                "POST",
                "/apis/authentication.k8s.io/v1/tokenreviews",
                WRITE,
                {"spec": {"token": "t"}},
                "application/json",
            ),
        ),
        (
            lambda c: c.patch_json(AUDIOJOBS, "song", [{"op": "test"}], "music", subresource="status"),
            ("PATCH", f"{JOBS_PATH}/song/status", WRITE, [{"op": "test"}], "application/json-patch+json"),
        ),
        (
            lambda c: c.patch_merge(AUDIOJOBS, "song", {"spec": {"cancel": True}}, "music"),
            ("PATCH", f"{JOBS_PATH}/song", WRITE, {"spec": {"cancel": True}}, "application/merge-patch+json"),
        ),
        (
            lambda c: c.delete(AUDIOJOBS, "song", "music", uid="u1", grace_seconds=30),
            (
                "DELETE",
                f"{JOBS_PATH}/song",
                {},
                {
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "propagationPolicy": "Background",
                    "preconditions": {"uid": "u1"},
                    "gracePeriodSeconds": 30,
                },
                "application/json",
            ),
        ),
    ],
    ids=[
        "get",
        "create in the body's namespace",
        "create of a cluster-scoped review",
        "JSON Patch of a subresource",
        "merge patch",
        "delete of exactly this incarnation",
    ],
)
async def test_a_call_on_the_wire(
    server: ScriptedServer, client: KubeClient, call: Call, want: tuple[str, str, Any, Any, str | None]
) -> None:
    server.calls.append(Answer({"kind": "Anything"}))
    await call(client)
    [seen] = server.seen
    assert (seen.method, seen.path, seen.query, seen.body) == want[:4]
    assert seen.headers.get("Content-Type") == want[4]
    assert seen.headers["Authorization"] == "Bearer secret"
    assert seen.headers["User-Agent"] == "audiojob-test"
    assert seen.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("name", ["..", "a/b", ""])
async def test_a_name_that_no_object_can_have_is_not_found_without_a_call(
    server: ScriptedServer, client: KubeClient, name: str
) -> None:
    with pytest.raises(NotFound):
        await client.get(AUDIOJOBS, name, "music")
    assert server.seen == []


async def test_a_namespaced_object_needs_its_namespace(client: KubeClient) -> None:
    with pytest.raises(ValueError, match="need"):
        await client.get(AUDIOJOBS, "song")
    with pytest.raises(ValueError, match="need"):
        await client.create(AUDIOJOBS, {"metadata": {"name": "song"}})


async def test_too_many_requests_carries_the_servers_wish(server: ScriptedServer, client: KubeClient) -> None:
    server.calls.append(Answer(status_object(429, "busy", "TooManyRequests"), 429, {"Retry-After": "5"}))
    with pytest.raises(TooManyRequests) as caught:
        await client.create(PODS, {}, "music")
    assert caught.value.retry_after == 5.0
    assert len(server.seen) == 1, "a write is never repeated by the client"


async def test_a_redirect_is_an_error_and_is_not_followed(server: ScriptedServer, client: KubeClient) -> None:
    server.calls.append(Answer("", 302, {"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(ApiError, match="302"):
        await client.get(AUDIOPIPELINES, "separate")
    assert len(server.seen) == 1


@pytest.mark.parametrize("body", ["<html></html>", "[1, 2]", ""], ids=["a web page", "a JSON list", "nothing"])
async def test_an_answer_that_is_no_object_is_a_transport_error(
    server: ScriptedServer, client: KubeClient, body: str
) -> None:
    server.calls.append(Answer(body))
    with pytest.raises(TransportError):
        await client.get(AUDIOPIPELINES, "separate")


async def test_a_refused_connection_is_a_transport_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        client = connect(
            Connection(f"http://127.0.0.1:{taken.getsockname()[1]}"), user_agent="t", field_manager="t", timeouts=QUICK
        )
        with pytest.raises(TransportError, match=r"GET /apis/.*/audiopipelines/separate: "):
            await client.get(AUDIOPIPELINES, "separate")
        await client.aclose()


async def test_a_call_without_an_answer_times_out(server: ScriptedServer) -> None:
    client = client_of(server, timeouts=Timeouts(call=0.1))
    server.calls.append(Answer(wait_for=asyncio.Event()))
    with pytest.raises(TransportError, match="timed out"):
        await client.get(AUDIOPIPELINES, "separate")
    await client.aclose()


async def test_calls_above_the_limit_wait_without_using_up_their_time(server: ScriptedServer) -> None:
    client = client_of(server, limit=3)
    gate = asyncio.Event()
    server.calls.extend(Answer({"kind": "Pod"}, wait_for=gate) for _ in range(10))
    calls = [asyncio.create_task(client.get(PODS, f"p{n}", "music")) for n in range(10)]
    await eventually(lambda: server.open_calls == 3, "three calls arrive")
    gate.set()
    await asyncio.gather(*calls)
    assert server.most_open_calls == 3
    await client.aclose()


async def test_a_closed_client_says_so(client: KubeClient) -> None:
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.get(AUDIOPIPELINES, "separate")


# Tokens


def client_with_tokens(server: ScriptedServer, *tokens: str) -> AiohttpKubeClient:
    supply = iter(tokens)
    provider = RefreshingToken(lambda _refused: next(supply))
    return connect(Connection(server.url, token=provider), user_agent="t", field_manager="t", timeouts=QUICK)


async def test_a_refused_token_is_read_again_and_the_call_sent_once_more(server: ScriptedServer) -> None:
    client = client_with_tokens(server, "old", "new")
    server.calls.extend([Answer(status_object(401, "expired"), 401), Answer({"kind": "Pod"})])
    assert await client.create(PODS, {"kind": "Pod"}, "music") == {"kind": "Pod"}
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer old", "Bearer new"]
    assert [seen.body for seen in server.seen] == [{"kind": "Pod"}, {"kind": "Pod"}]
    await client.aclose()


async def test_a_token_refused_again_unchanged_is_an_error(server: ScriptedServer) -> None:
    client = client_with_tokens(server, "old", "old")
    server.calls.append(Answer(status_object(401, "expired", "Unauthorized"), 401))
    with pytest.raises(Unauthorized, match="expired"):
        await client.get(PODS, "p", "music")
    assert len(server.seen) == 1
    await client.aclose()


async def test_unreadable_credentials_are_a_transport_error(server: ScriptedServer) -> None:
    def read(_refused: bool) -> str:
        raise ConfigError("the token file is gone")

    client = connect(Connection(server.url, token=RefreshingToken(read)), user_agent="t", field_manager="t")
    with pytest.raises(TransportError, match="the token file is gone"):
        await client.get(PODS, "p", "music")
    await client.aclose()


# Lists


async def test_a_list_follows_its_pages_with_the_same_selection(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.extend(
        [
            listing(7, job("a", 1), job("b", 2), more="token/1?"),
            listing(7, job("c", 3)),
        ]
    )
    answer = await client.list(
        AUDIOJOBS, "music", label_selector="x in (y, z)", field_selector="status.state!=Failed", page_size=2
    )
    assert [item["metadata"]["name"] for item in answer.items] == ["a", "b", "c"]
    assert answer.resource_version == "7"
    selection = {"labelSelector": "x in (y, z)", "fieldSelector": "status.state!=Failed", "limit": "2"}
    assert [seen.query for seen in server.seen] == [selection, selection | {"continue": "token/1?"}]


async def test_an_expired_continue_token_starts_the_list_again(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.extend(
        [
            listing(7, job("deleted-since", 1), more="t"),
            Answer(status_object(410, "too old", "Expired"), 410),
            listing(9, job("b", 8)),
        ]
    )
    answer = await client.list(AUDIOJOBS, "music")
    assert [item["metadata"]["name"] for item in answer.items] == ["b"]
    assert answer.resource_version == "9"


async def test_a_list_that_keeps_expiring_ends_in_gone(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.extend([Answer(status_object(410, "too old", "Expired"), 410)] * 20)
    with pytest.raises(Gone):
        await client.list(AUDIOJOBS, "music")


async def test_pages_of_large_objects_have_fewer_of_them(
    server: ScriptedServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiojob_kube.client._PAGE_BYTES", 2_000)
    large: dict[str, Any] = {"labels": {"note": "x" * 1_500}}
    server.lists.extend(
        [
            listing(7, job("a", 1, **large), job("b", 2, **large), more="t1"),  # in vain
            listing(7, job("a", 1, **large), more="t2"),
            listing(7, job("b", 2, labels={"note": "x" * 9_000}), more="t3"),  # larger than a page, and alone in it
            listing(7, job("c", 3), more="t4"),
            listing(7, job("d", 4)),
        ]
    )
    answer = await client.list(AUDIOJOBS, "music", page_size=8)
    assert [item["metadata"]["name"] for item in answer.items] == ["a", "b", "c", "d"]
    asked = [(seen.query["limit"], seen.query.get("continue")) for seen in server.seen]
    assert asked == [("8", None), ("1", None), ("1", "t2"), ("1", "t3"), ("2", "t4")]


async def test_items_of_a_list_carry_their_kind(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(listing(7, {"metadata": {"name": "p"}}))
    [item] = (await client.list(PODS)).items
    assert (item["apiVersion"], item["kind"]) == ("v1", "Pod")


async def test_an_answer_that_is_no_list_is_a_transport_error(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(Answer({"hello": "world"}))
    with pytest.raises(TransportError, match="not a Kubernetes API server"):
        await client.list(PODS)
