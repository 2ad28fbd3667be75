"""Reports about models: what is sent, how often, and that the last one is."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.phase.report import Answer, ApiServerTarget
from audiojob_runner.prefetch import report as modelreport
from audiojob_runner.prefetch.report import ModelReporter, body_of, find_configmap
from audiojob_runner.settings import Paths
from audiojob_types.models import ModelRecord, ModelState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
READY = ModelRecord(state=ModelState.READY, percent=100, files={"a.th": "0" * 64})


def fetching(percent: int) -> ModelRecord:
    return ModelRecord(state=ModelState.FETCHING, percent=percent)


class Server:
    """Takes patches, or answers what it is told to."""

    def __init__(self, *answers: int) -> None:
        self._answers = list(answers)
        self._got = threading.Condition()
        self.bodies: list[dict[str, Any]] = []

    def patch(self, body: Mapping[str, Any]) -> Answer:
        with self._got:
            self.bodies.append({name: json.loads(text) for name, text in body["data"].items()})
            self._got.notify_all()
        return Answer(self._answers.pop(0) if self._answers else 200, {}, "no")

    def wait(self, number: int) -> None:
        with self._got:
            assert self._got.wait_for(lambda: len(self.bodies) >= number, 60)


def test_a_record_is_one_key_of_the_config_map() -> None:
    body = body_of({"mdx": READY}, NOW)
    assert body.keys() == {"data"}
    assert json.loads(body["data"]["mdx"]) == {
        "state": "Ready",
        "percent": 100,
        "message": "",
        "suggestion": "",
        "files": {"a.th": "0" * 64},
        "reportTime": "2026-03-01T12:00:00Z",
    }


def test_the_last_records_are_sent_however_short_the_work_was() -> None:
    server = Server()
    reporter = ModelReporter(server, min_seconds=60)
    reporter.set("mdx", fetching(1))
    server.wait(1)
    for percent in range(2, 99):
        reporter.set("mdx", fetching(percent))
    reporter.set("mdx", READY)
    assert reporter.close(10)
    assert len(server.bodies) == 2, "what lies between is not worth a write"
    assert server.bodies[-1]["mdx"]["state"] == "Ready"


def test_a_record_that_was_not_taken_is_sent_again() -> None:
    server = Server(503, 0, 429)
    reporter = ModelReporter(server, min_seconds=0.01)
    reporter.set("mdx", READY)
    assert reporter.close(10)
    assert [body["mdx"]["state"] for body in server.bodies] == ["Ready"] * 4


def test_a_server_that_takes_nothing_is_told() -> None:
    reporter = ModelReporter(Server(*[403] * 10_000), min_seconds=0.01)
    reporter.set("mdx", READY)
    assert not reporter.close(0.3)


def test_without_news_there_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelreport, "BEAT_SECONDS", 0.05)
    server = Server()
    reporter = ModelReporter(server, min_seconds=0.01)
    reporter.set("mdx", fetching(7))
    reporter.set("htdemucs", READY)
    server.wait(5)
    reporter.close(10)
    assert {"mdx"} == set(server.bodies[-1]), "what is there needs none"


def test_the_same_record_again_is_no_news() -> None:
    server = Server()
    reporter = ModelReporter(server, min_seconds=0.01)
    reporter.set("mdx", READY)
    server.wait(1)
    reporter.set("mdx", ModelRecord.model_validate(READY.to_wire()))
    assert reporter.close(10)
    assert len(server.bodies) == 1


def test_outside_a_cluster_nobody_is_told(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    assert find_configmap(environ, Paths.under(tmp_path)) is None
    paths = Paths.under(tmp_path)
    paths.service_account.mkdir(parents=True)
    (paths.service_account / "namespace").write_text("music", encoding="ascii")
    assert find_configmap(environ, paths) is None, "there is no token"
    assert find_configmap({}, paths) is None


def test_a_target_is_the_namespaces_own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def remember(_environ: object, _paths: object, path: str) -> ApiServerTarget | None:
        found.append(path)
        return None

    monkeypatch.setattr(modelreport, "find_object", remember)
    paths = Paths.under(tmp_path)
    paths.service_account.mkdir(parents=True)
    (paths.service_account / "namespace").write_text("music\n", encoding="ascii")
    find_configmap({}, paths)
    assert found == ["/api/v1/namespaces/music/configmaps/audiojob-models"]
