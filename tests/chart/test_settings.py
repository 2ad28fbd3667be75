"""The operator's settings file: the chart writes what its schema describes, and a change restarts the operator."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chart.helm import CHART, Helm, Object, RefusedError, ci_values, find, merged, nested, of_kind, settings_file
from tests.chart.test_values import BASE, CHANGES

from audiojob_operator.settings_loading import SETTINGS_FILE, load_settings
from audiojob_operator.settings_schema import settings_schema

pytestmark = pytest.mark.chart

# Every value that reaches the operator, changed at once.
EVERY_SWITCH: Object = {
    "jobNamespaces": ["music", "speech"],
    "images": {
        "runner": {"digest": "sha256:" + "0" * 64},
        "runnerTorch": {"repository": "example.org/t", "tag": "9"},
        "runnerMusic": {"tag": "8"},
    },
    "store": {"kind": "S3", "s3": {"bucket": "music", "endpoint": "https://s3.example.org", "prefix": "a/b"}},
    "libraries": [
        {"name": "nas", "claimName": "nas-music", "readOnly": True, "namespaces": ["speech"]},
        {"name": "results", "prefix": "library/results"},
    ],
    "models": {"enabled": True},
    "fetch": {
        "allowedCIDRs": ["10.20.0.0/16", "10.1.2.3/32:8080", "fd00::/8:*"],
        "secret": True,
        "maxPerHost": 8,
        "coolDown": {"maxSeconds": 86_400, "jobs": 1_000, "namespaces": 1_000, "since": "2026-11-28T12:00:00+01:00"},
    },
    "sites": [{"host": "youtube.com", "maxRunning": 2, "pauseSeconds": 86_400}],
    "reuse": {"enabled": False, "downloadSeconds": 31_536_000},
    "capacity": {"maxRunning": 100_000, "gpus": 0, "ageingSeconds": 0},
    "gpu": {"resourceName": "amd.com/gpu", "shared": True},
    "disruption": {"nodeLostSeconds": 0, "graceSeconds": 3_600, "lostAfterSeconds": 86_400},
    "operator": {"logLevel": "WARNING"},
}
VALUES = {**ci_values(), "every switch": EVERY_SWITCH}


def operator_of(objects: list[Object]) -> Object:
    (found,) = [each for each in of_kind(objects, "Deployment") if each["metadata"]["name"].endswith("-operator")]
    return found


def file_of(objects: list[Object]) -> str:
    return settings_file(objects, operator_of(objects)["metadata"]["name"])


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart without templates whose values are a settings file: helm checks them by the schema."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: settings\nversion: 1.0.0\n", encoding="utf-8")
    schema = (CHART / "operator-settings.schema.json").read_text(encoding="utf-8")
    (folder / "values.schema.json").write_text(schema, encoding="utf-8")
    return folder


def test_the_schema_is_that_of_the_settings() -> None:
    found = json.loads((CHART / "operator-settings.schema.json").read_text(encoding="utf-8"))
    assert found == settings_schema(), "make generate"


@pytest.mark.parametrize("name", VALUES)
def test_the_settings_file_fits_the_schema_and_the_operator(
    helm: Helm, checker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text = file_of(helm.render(VALUES[name]))
    helm.run("template", "settings", str(checker), values=json.loads(text))
    for variable in [variable for variable in os.environ if variable.startswith("AUDIOJOB_")]:
        monkeypatch.delenv(variable)
    file = tmp_path / "settings.json"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv(SETTINGS_FILE, str(file))
    assert load_settings().job_namespaces == tuple(VALUES[name]["jobNamespaces"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"colour": "red"}, "colour", id="an unknown name"),
        pytest.param({"fetch": {"coolDown": {"mood": 1}}}, "mood", id="an unknown name below"),
        pytest.param({"capacity": {"gpus": "many"}}, "gpus", id="a word for a number"),
        pytest.param({"capacity": {"maxRunning": True}}, "maxRunning", id="a switch for a number"),
        pytest.param({"store": {"kind": "NFS"}}, "store", id="an unknown kind of store"),
        pytest.param({"logLevel": "LOUD"}, "logLevel", id="an unknown level"),
    ],
)
def test_the_schema_refuses_what_is_wrong(helm: Helm, checker: Path, wrong: Object, words: str) -> None:
    right = json.loads(file_of(helm.render(BASE)))
    with pytest.raises(RefusedError, match=words):
        helm.run("template", "settings", str(checker), values=merged(right, wrong))


@pytest.mark.parametrize(
    ("path", "restarts"),
    [
        ("operator.logLevel", True),
        ("jobNamespaces", True),
        ("sites", True),
        ("fetch.coolDown.since", True),
        ("images.runner.tag", True),
        ("api.replicas", False),
        ("defaultQueue.weight", False),
    ],
)
def test_a_change_of_the_settings_restarts_the_operator_and_no_other_does(
    helm: Helm, path: str, restarts: bool
) -> None:
    value, needed = CHANGES[path]
    values = merged(BASE, needed)
    before, after = (operator_of(helm.render(each)) for each in (values, merged(values, nested(path, value))))
    assert (before["spec"]["template"] != after["spec"]["template"]) == restarts


def test_annotations_of_the_pod_stand_beside_the_checksum(helm: Helm) -> None:
    deployment = operator_of(helm.render(merged(BASE, {"operator": {"podAnnotations": {"a": "b"}}})))
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations.keys() == {"a", "checksum/settings"}


def test_only_what_the_pod_knows_is_a_variable(helm: Helm) -> None:
    container = operator_of(helm.render(EVERY_SWITCH))["spec"]["template"]["spec"]["containers"][0]
    assert {each["name"] for each in container["env"]} == {SETTINGS_FILE, "AUDIOJOB_LEASE__IDENTITY"}


def test_the_settings_file_is_the_only_thing_in_its_config_map(helm: Helm) -> None:
    objects = helm.render(EVERY_SWITCH)
    found = find(objects, "ConfigMap", operator_of(objects)["metadata"]["name"])
    assert list(found["data"]) == ["settings.json"]
    assert "binaryData" not in found


def test_no_setting_is_a_secret() -> None:
    # Whoever may read ConfigMaps reads them all. `fetch.secret` says only that there is a Secret.
    words = re.compile("secret|password|token|credential|cookie|accesskey|privatekey|apikey", re.IGNORECASE)
    found = {(name, kind) for name, kind in _properties(settings_schema()) if words.search(name)}
    assert found == {("secret", "boolean")}


def _properties(schema: Any) -> Iterator[tuple[str, str]]:
    """Name and type of each setting, at every depth."""
    if isinstance(schema, list):
        for each in schema:
            yield from _properties(each)
    elif isinstance(schema, dict):
        for name, described in schema.get("properties", {}).items():
            yield name, described.get("type", "")
        for each in schema.values():
            yield from _properties(each)
