"""The client against a real kube-apiserver: what only the server can confirm."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kube.audio_jobs import audio_job

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_kube.client import KubeClient, connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
    is_failed_json_patch_test,
)
from audiojob_kube.resources import AUDIOJOBS, NAMESPACES, PODS, SELFSUBJECTACCESSREVIEWS, TOKENREVIEWS

pytestmark = pytest.mark.integration


async def test_pages_are_one_state_although_objects_come_and_go_between_them(
    client: KubeClient, namespace: str
) -> None:
    for number in range(5):
        await client.create(AUDIOJOBS, audio_job(f"song-{number}"), namespace)
    sizes, names, versions = [], [], set()
    async for page in client.pages(AUDIOJOBS, namespace, page_size=2):
        sizes.append(len(page.items))
        names += [item["metadata"]["name"] for item in page.items]
        versions.add(page.resource_version)
        await client.create(AUDIOJOBS, audio_job(f"song-{len(sizes)}-late"), namespace)
    assert sizes == [2, 2, 1]
    assert names == [f"song-{number}" for number in range(5)]
    assert len(versions) == 1


async def test_selectors_choose_on_the_server(client: KubeClient, namespace: str) -> None:
    for number in range(4):
        await client.create(AUDIOJOBS, audio_job(f"song-{number}"), namespace)
    failed = [{"op": "replace", "path": "/status/state", "value": "Failed"}]
    await client.patch_json(AUDIOJOBS, "song-1", failed, namespace, subresource="status")
    odd = await client.list(AUDIOJOBS, namespace, label_selector="parity=odd", page_size=1)
    active = await client.list(AUDIOJOBS, namespace, field_selector="status.state!=Failed")
    assert [item["metadata"]["name"] for item in odd.items] == ["song-1", "song-3"]
    assert [item["metadata"]["name"] for item in active.items] == ["song-0", "song-2", "song-3"]


async def test_creating_twice(client: KubeClient, namespace: str) -> None:
    created = await client.create(AUDIOJOBS, audio_job("song"), namespace)
    assert await client.get(AUDIOJOBS, "song", namespace) == created
    with pytest.raises(AlreadyExists):
        await client.create(AUDIOJOBS, audio_job("song"), namespace)


async def test_an_unknown_field_is_refused_by_name(client: KubeClient, namespace: str) -> None:
    with pytest.raises(BadRequest, match=r'unknown field "spec\.prioritty"'):
        await client.create(AUDIOJOBS, audio_job("song", prioritty=3), namespace)


async def test_an_invalid_value_names_its_field(client: KubeClient, namespace: str) -> None:
    with pytest.raises(Invalid) as caught:
        await client.create(AUDIOJOBS, audio_job("song", priority=99), namespace)
    assert [cause.field for cause in caught.value.causes] == ["spec.priority"]
    assert not is_failed_json_patch_test(caught.value)


async def test_a_namespace_that_does_not_exist(client: KubeClient) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await client.create(AUDIOJOBS, audio_job("song"), "nowhere")


Operations = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("operations", "want_failed_test"),
    [
        ([{"op": "test", "path": "/metadata/uid", "value": "another"}], True),
        ([{"op": "test", "path": "/status/state", "value": "Running"}], True),
        ([{"op": "test", "path": "/status/phases/0/name", "value": "separate"}], True),
        ([{"op": "replace", "path": "/status/phases/0/state", "value": "Failed"}], True),
        ([{"op": "replace", "path": "/status/state", "value": "Nonsense"}], False),
        ([{"op": "add", "path": "/status/nonsense", "value": 1}], False),
    ],
    ids=[
        "another incarnation",
        "another state",
        "a test of something that is not there yet",
        "a replacement of something that is not there",
        "a value that the schema refuses is our bug",
        "a field that the schema does not know is our bug",
    ],
)
async def test_why_a_json_patch_is_refused(
    client: KubeClient, namespace: str, operations: Operations, want_failed_test: bool
) -> None:
    created = await client.create(AUDIOJOBS, audio_job("song"), namespace)
    write = {"op": "add", "path": "/status/message", "value": "must not appear"}
    with pytest.raises(Invalid) as caught:
        await client.patch_json(AUDIOJOBS, "song", [*operations, write], namespace, subresource="status")
    assert is_failed_json_patch_test(caught.value) is want_failed_test
    assert await client.get(AUDIOJOBS, "song", namespace) == created


async def test_a_json_patch_whose_tests_hold_is_written(client: KubeClient, namespace: str) -> None:
    created = await client.create(AUDIOJOBS, audio_job("song"), namespace)
    operations: Operations = [
        {"op": "test", "path": "/metadata/uid", "value": created["metadata"]["uid"]},
        {"op": "test", "path": "/status/state", "value": "Pending"},
        {"op": "replace", "path": "/status/state", "value": "Queued"},
    ]
    answer = await client.patch_json(AUDIOJOBS, "song", operations, namespace, subresource="status")
    assert answer["status"]["state"] == "Queued"
    assert {entry["manager"] for entry in answer["metadata"]["managedFields"]} == {"audiojob-test"}


async def test_a_merge_patch_with_an_old_version_is_a_conflict(client: KubeClient, namespace: str) -> None:
    created = await client.create(AUDIOJOBS, audio_job("song"), namespace)
    await client.patch_merge(AUDIOJOBS, "song", {"spec": {"suspend": True}}, namespace)
    stale = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}, "spec": {"cancel": True}}
    with pytest.raises(Conflict):
        await client.patch_merge(AUDIOJOBS, "song", stale, namespace)


async def test_only_the_meant_incarnation_is_deleted(client: KubeClient, namespace: str) -> None:
    first = await client.create(AUDIOJOBS, audio_job("song"), namespace)
    await client.delete(AUDIOJOBS, "song", namespace, uid=first["metadata"]["uid"])
    second = await client.create(AUDIOJOBS, audio_job("song"), namespace)
    with pytest.raises(Conflict):
        await client.delete(AUDIOJOBS, "song", namespace, uid=first["metadata"]["uid"])
    await client.delete(AUDIOJOBS, "song", namespace, uid=second["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.delete(AUDIOJOBS, "song", namespace)


async def test_a_watch_tells_each_change_in_order_then_a_bookmark_then_ends(client: KubeClient, namespace: str) -> None:
    listed = await client.list(AUDIOJOBS, namespace)
    await client.create(AUDIOJOBS, audio_job("song"), namespace)
    events = []
    async for event in client.watch(AUDIOJOBS, namespace, resource_version=listed.resource_version, timeout_seconds=6):
        events.append(event)
        if event.type == "ADDED":
            await client.patch_merge(AUDIOJOBS, "song", {"spec": {"cancel": True}}, namespace)
            await client.delete(AUDIOJOBS, "song", namespace)
    assert [event.type for event in events if event.type != "BOOKMARK"] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[-1].type == "BOOKMARK", "before it ends, the stream tells how far it is"
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)
    assert versions[0] > int(listed.resource_version)


async def test_a_version_from_before_the_servers_memory_is_gone(client: KubeClient) -> None:
    with pytest.raises(Gone, match="too old"):
        await asyncio.wait_for(anext(client.watch(AUDIOJOBS, resource_version="1")), 60)


async def test_reviews_are_answered(client: KubeClient, apiserver: LocalApiServer, namespace: str) -> None:
    access = {"resourceAttributes": {"verb": "create", "group": "audiojobs.dev", "resource": "audiojobs"}}
    answer = await client.create(SELFSUBJECTACCESSREVIEWS, {"spec": access})
    assert answer["status"]["allowed"] is True
    token = apiserver.service_account_token(namespace, "default")
    answer = await client.create(TOKENREVIEWS, {"spec": {"token": token}})
    assert answer["status"]["user"]["username"] == f"system:serviceaccount:{namespace}:default"


async def test_a_service_account_without_rights_and_a_false_token(
    apiserver: LocalApiServer, namespace: str, tmp_path: Path
) -> None:
    good = apiserver.service_account_token(namespace, "default")
    for token, want in ((good, Forbidden), ("false", Unauthorized)):
        kubeconfig = apiserver.write_token_kubeconfig(tmp_path / "kubeconfig", token, namespace)
        connection = load_connection(kubeconfig)
        assert connection.namespace == namespace
        limited = connect(connection, user_agent="audiojob-test", field_manager="audiojob-test")
        with pytest.raises(want):
            await limited.list(PODS, namespace)
        await limited.aclose()


async def test_names_from_users_cannot_leave_their_resource(client: KubeClient, namespace: str) -> None:
    assert (await client.get(NAMESPACES, namespace))["kind"] == "Namespace"
    for name in (f"../../../../../api/v1/namespaces/{namespace}", "..", "song?x=y", "song#f"):
        with pytest.raises(NotFound):
            await client.get(AUDIOJOBS, name, namespace)
