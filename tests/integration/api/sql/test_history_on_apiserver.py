"""History on a real API server: kills lose nothing, and a job that is gone from the cluster is listed on."""

from __future__ import annotations

import asyncio
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.conftest import JOBS, Api, chart_template, launched, started, wait_ready
from tests.support.databases.postgres import Postgres
from tests.support.faults.replicas import ACCOUNTS, Bounds, Replicas, faults_of

from audiojob_dev.rest import wait_until
from audiojob_types.constants import ANNOTATION_ARCHIVED, API_VERSION

pytestmark = pytest.mark.integration

ENDED = {
    "state": "Succeeded", "percent": 100, "startTime": "2026-11-29T10:00:00Z", "completionTime": "2026-11-29T10:01:00Z",
}  # fmt: skip

SLEEP_AND_KILL = 2  # a seed: the first replica sleeps for longer than a writer may, then the second is killed


def finish(api: Api, names: list[str]) -> None:
    """Jobs that end as soon as they are there."""
    path = f"/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs"
    for name in names:
        spec = {"pipeline": "download", "source": {"url": "https://example.org/song.flac"}}
        job = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec}
        api.server.rest.request("POST", path, job)
        api.set_status(name, **ENDED)


def archived(api: Api, names: list[str]) -> bool:
    """Whether each of them is marked."""
    return all(ANNOTATION_ARCHIVED in api.stored(name)["metadata"].get("annotations", {}) for name in names)


def names_of(api: Api, query: str) -> list[str]:
    status, answer = api.call("GET", f"{JOBS}?limit=200&{query}")
    assert status == 200, answer
    return [item["name"] for item in answer["items"]]


def test_two_replicas_of_which_one_is_killed_keep_every_job_once(api: Api, postgres: Postgres) -> None:
    settings: dict[str, Any] = {
        "AUDIOJOB_DATABASE__URL": postgres.create(f"t{uuid.uuid4().hex}"), "AUDIOJOB_ARCHIVE__ENABLED": "true",
    }  # fmt: skip
    prefix = f"pg{uuid.uuid4().hex[:6]}"
    names = [f"{prefix}-{number}" for number in range(30)]
    victim, process = started(api.server, api.namespace, api.kubeconfig, **settings)
    try:
        wait_ready(victim, process)
        finish(api, names[:10])
        wait_until("the first mark", lambda: archived(api, names[:1]), seconds=60)
        with launched(api.server, api.namespace, api.kubeconfig, **settings) as (other, its_process):
            wait_ready(other, its_process)
            finish(api, names[10:20])
            process.send_signal(signal.SIGKILL)
            finish(api, names[20:])
            wait_until("all marks", lambda: archived(api, names), seconds=90)
            for name in names[:15]:
                path = f"/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs/{name}"
                api.server.rest.request("DELETE", path)
            wait_until(
                "deletions in the read model",
                lambda: sorted(names_of(other, f"where=live&name={prefix}")) == sorted(names[15:]),
                seconds=30,
            )
            assert sorted(names_of(other, f"name={prefix}")) == sorted(names)
            assert sorted(names_of(other, f"where=archived&name={prefix}&sort=finished")) == sorted(names)
            status, gone = other.call("GET", f"{JOBS}/{names[0]}")
            assert (status, gone["archived"], gone["status"]["state"]) == (200, True, "Succeeded")
            assert other.call("GET", f"{JOBS}/a%00b")[0] == 404, "PostgreSQL takes no NUL"
            assert other.call("POST", f"{JOBS}/{names[0]}/cancel")[0] == 409
            assert (
                other.call("GET", f"{JOBS}?state=Succeeded&where=archived&count=true&limit=1")[1]["total"]["count"]
                >= 30
            )
    finally:
        process.kill()
        process.wait()


def test_a_writer_that_sleeps_and_one_that_is_killed_lose_nothing_and_limits_hold(api: Api, postgres: Postgres) -> None:
    """bench/api/kills.py does it for five minutes, and crashes the database too."""
    namespace = f"two-{uuid.uuid4().hex[:6]}"
    api.server.create_namespace(namespace)
    api.server.kubectl("apply", "-f", "-", stdin=chart_template("api-rbac.yaml", namespace))
    folder = api.kubeconfig.parent / namespace
    folder.mkdir()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_bytes(api.kubeconfig.read_bytes())
    bounds = Bounds(day=12, at_once=3)
    replicas = Replicas(api.server, namespace, kubeconfig, postgres.create(f"t{uuid.uuid4().hex}"), bounds)
    try:
        seen = replicas.run(seconds=2, seed=SLEEP_AND_KILL, accidents=2)
        assert set(seen.accidents) == {"sleep", "kill"}
        assert len(seen.users) > len(ACCOUNTS)
        assert asyncio.run(faults_of(replicas))[0] == []
    finally:
        replicas.stop()


def test_a_database_that_cannot_be_used_is_said_at_the_start(api: Api, tmp_path: Path) -> None:
    for url, words in (("mysql://h/d", "'mysql' is not supported"), ("", "needs database.url")):
        database = {"AUDIOJOB_DATABASE__URL": url} if url else {}
        refused, process = started(
            api.server, api.namespace, api.kubeconfig, AUDIOJOB_ARCHIVE__ENABLED="true", **database
        )
        assert process.wait(60) == 64
        assert words in refused.log.read_text()


def test_sqlite_goes_on_where_a_kill_left_it(api: Api, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "AUDIOJOB_DATABASE__URL": f"sqlite:///{tmp_path / 'history.db'}", "AUDIOJOB_ARCHIVE__ENABLED": "true",
    }  # fmt: skip
    names = [f"lite{uuid.uuid4().hex[:6]}-{number}" for number in range(6)]
    victim, process = started(api.server, api.namespace, api.kubeconfig, **settings)
    wait_ready(victim, process)
    finish(api, names[:3])
    wait_until("the first mark", lambda: archived(api, names[:1]), seconds=60)
    process.kill()
    process.wait()
    finish(api, names[3:])
    with launched(api.server, api.namespace, api.kubeconfig, **settings) as (again, its_process):
        wait_ready(again, its_process)
        wait_until("all marks", lambda: archived(api, names), seconds=60)
        found = names_of(again, "where=archived")
        assert sorted(name for name in found if name in names) == sorted(names)
