"""The chart's hook that upgrades CRDs, on a real API server. The types are the test's own: others rely on ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError
from audiojob_kube.client import connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import Forbidden
from audiojob_kube.protocol import KubeClient
from audiojob_operator.upgrade_crds import RefusedError, main, upgrade
from audiojob_types.constants import ANNOTATION_RELEASE, VERSION

pytestmark = pytest.mark.integration

Object = dict[str, Any]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd(plural: str, release: str, fields: tuple[str, ...], rule: str = "has(self.spec)") -> Object:
    spec = {"type": "object", "properties": {name: {"type": "string"} for name in fields}, "maxProperties": 9}
    schema = {
        "type": "object",
        "properties": {"spec": spec},
        "x-kubernetes-validations": [{"rule": rule, "message": f"by {release}"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.upgrade.example", "annotations": {ANNOTATION_RELEASE: release}},
        "spec": {
            "group": "upgrade.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural.capitalize()},
            "versions": [{"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture
async def admin(apiserver: LocalApiServer) -> AsyncIterator[KubeClient]:
    client = connect(load_connection(apiserver.kubeconfig), user_agent="hook", field_manager="hook")
    yield client
    await client.aclose()


def schema_of(apiserver: LocalApiServer, plural: str) -> Object:
    found = apiserver.rest.request("GET", f"{CRDS}/{plural}.upgrade.example")
    schema: Object = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def remove(apiserver: LocalApiServer, *plurals: str) -> None:
    for plural in plurals:
        try:
            apiserver.rest.request("DELETE", f"{CRDS}/{plural}.upgrade.example")
        except RestError as error:
            if error.status != 404:
                raise


async def test_a_later_release_replaces_the_schema_and_brings_new_types(
    apiserver: LocalApiServer, admin: KubeClient
) -> None:
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(crd("songs", "0.1.0", ("a",), "size(self.spec.a) >= 1")))
    try:
        done = await upgrade(admin, [crd("songs", "0.2.0", ("a", "b")), crd("albums", "0.2.0", ("a",))])
        assert done == [
            "CRD songs.upgrade.example: upgraded (0.2.0)",
            "CRD albums.upgrade.example: created (0.2.0)",
        ]
        schema = schema_of(apiserver, "songs")
        assert schema["properties"]["spec"]["properties"].keys() == {"a", "b"}
        # Of server-side apply the rule of whoever created the CRD would be there too, and would go on refusing.
        assert [each["message"] for each in schema["x-kubernetes-validations"]] == ["by 0.2.0"]
    finally:
        remove(apiserver, "songs", "albums")


def test_the_hook_reads_the_charts_files_and_says_what_it_did_or_why_not(
    apiserver: LocalApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig))
    file = tmp_path / "discs.json"
    try:
        file.write_text(json.dumps(crd("discs", "0.2.0", ("a",))), encoding="utf-8")
        assert main([str(file)]) == 0
        assert capsys.readouterr().out == "CRD discs.upgrade.example: created (0.2.0)\n"
        file.write_text(json.dumps(crd("discs", "0.1.0", ("a",))), encoding="utf-8")
        assert main([str(file)]) == 1
        assert "Nothing was changed" in capsys.readouterr().err
    finally:
        remove(apiserver, "discs")


async def test_row_10_an_earlier_release_changes_none_of_them(apiserver: LocalApiServer, admin: KubeClient) -> None:
    await upgrade(admin, [crd("records", "0.1.0", ("a",)), crd("tapes", "0.3.0", ("a",))])
    try:
        with pytest.raises(RefusedError, match=r"tapes.upgrade.example is of release 0\.3\.0, this chart's of 0\.2\.0"):
            await upgrade(admin, [crd("records", "0.2.0", ("a", "b")), crd("tapes", "0.2.0", ("a",))])
        assert schema_of(apiserver, "records")["properties"]["spec"]["properties"].keys() == {"a"}
    finally:
        remove(apiserver, "records", "tapes")


async def test_row_11_without_the_right_nothing_is_changed(
    apiserver: LocalApiServer, admin: KubeClient, tmp_path: Path
) -> None:
    await upgrade(admin, [crd("cassettes", "0.1.0", ("a",))])
    try:
        apiserver.ensure_service_account("default", "no-rights")
        token = apiserver.service_account_token("default", "no-rights")
        config = apiserver.write_token_kubeconfig(tmp_path / "config", token, "default")
        client = connect(load_connection(config), user_agent="hook", field_manager="hook")
        with pytest.raises(Forbidden, match="customresourcedefinitions"):
            await upgrade(client, [crd("cassettes", "0.2.0", ("a", "b"))])
        await client.aclose()
        assert schema_of(apiserver, "cassettes")["properties"]["spec"]["properties"].keys() == {"a"}
    finally:
        remove(apiserver, "cassettes")
