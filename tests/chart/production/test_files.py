"""The files service: reached by the API alone, without rights, and refused where phases could not run beside it."""

from __future__ import annotations

import os

import pytest
from tests.chart.helm import Helm, Object, RefusedError, find, merged, of_kind
from tests.chart.test_objects import environment
from tests.chart.test_rights import RIGHTS, rules

from audiojob_api.settings import ApiSettings
from audiojob_files.settings import FilesSettings
from audiojob_types.constants import FILES_KEYS_CONFIGMAP
from audiojob_types.contract import S3Store

pytestmark = pytest.mark.chart

VALUES: Object = {
    "jobNamespaces": ["audiojob-demo"],
    "files": {"enabled": True},
    "store": {"folder": {"accessModes": ["ReadWriteMany"]}},
}


def test_the_api_has_two_rights_more_and_the_service_none(whole: Helm) -> None:
    assert rules(whole.render(VALUES)) == {
        **RIGHTS,
        "audiojob-demo/audiojob-api": [
            *RIGHTS["audiojob-demo/audiojob-api"],
            "core/configmaps['audiojob-files-keys']: get patch",
        ],
        "audiojob-system/audiojob-api-tickets": ["core/secrets['audiojob-tickets']: get patch"],
    }


def test_both_sides_understand_their_settings(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = helm.render(VALUES)
    for name in ("audiojob-api", "audiojob-files"):
        for variable, value in environment(objects, name).items():
            monkeypatch.setenv(variable, value)
    api, files = ApiSettings(), FilesSettings.read(os.environ)
    assert api.files_url is not None
    service = find(objects, "Service", "audiojob-files", "audiojob-demo")
    port = service["spec"]["ports"][0]["port"]
    assert api.files_url.replace("{namespace}", "audiojob-demo") == f"http://audiojob-files.audiojob-demo:{port}"
    assert find(objects, "Secret", api.files_secret, api.files_home).get("data") is None, "helm would take it back"
    keys = find(objects, "ConfigMap", FILES_KEYS_CONFIGMAP, "audiojob-demo")
    assert keys.get("data") is None, "helm would take it back"
    assert (files.namespace, files.port, files.max_upload_bytes) == ("audiojob-demo", port, 20 * 1024**3)
    assert "audio/*" in files.media_types.split(",")


def test_its_pod_has_no_token_and_sees_its_namespace_alone(helm: Helm) -> None:
    deployment = find(helm.render(VALUES), "Deployment", "audiojob-files", "audiojob-demo")
    pod = deployment["spec"]["template"]["spec"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert pod["automountServiceAccountToken"] is False
    mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "store"]
    assert [(each["mountPath"], each["subPath"], each.get("readOnly", False)) for each in mounts] == [
        ("/store/audiojob-demo", "audiojob-demo", True),
        ("/store/audiojob-demo/uploads", "audiojob-demo/uploads", False),
    ], "writable are uploads alone"


def test_the_api_alone_reaches_it_and_it_reaches_nothing(helm: Helm) -> None:
    policy = find(helm.render(VALUES), "NetworkPolicy", "audiojob-files", "audiojob-demo")["spec"]
    api = find(helm.render(VALUES), "Deployment", "audiojob-api")["spec"]["selector"]["matchLabels"]
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"] == api
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "audiojob-system"}
    assert policy["egress"] == []


REFUSED = [
    pytest.param({"store": {"folder": {"accessModes": ["ReadWriteOnce"]}}}, "ReadWriteMany", id="ReadWriteOnce"),
    pytest.param({"store": {"folder": {"accessModes": ["ReadWriteOncePod"]}}}, "accessModes", id="ReadWriteOncePod"),
    pytest.param({"files": {"publicUrl": "https://s3.example.org"}}, "publicUrl", id="links to a folder"),
    pytest.param({"files": {"publicUrl": "https://u:p@s3.example.org"}}, "publicUrl", id="a password in an address"),
    pytest.param(
        {"store": {"kind": "S3", "s3": {"bucket": "music"}}, "files": {"partsBytes": 1}},
        "partsBytes",
        id="a bucket, and no room for parts",
    ),
    pytest.param({"api": {"enabled": False}}, "api.enabled", id="without the API"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_where_it_would_stop_phases_or_serve_nobody_it_is_refused(helm: Helm, change: Object, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        helm.render(merged(VALUES, change))


def test_on_one_node_read_write_once_does(helm: Helm) -> None:
    change = {"store": {"folder": {"accessModes": ["ReadWriteOnce"]}}, "files": {"oneNode": True}}
    assert len(of_kind(helm.render(merged(VALUES, change)), "Deployment")) == 3


def test_a_bucket_takes_its_secret_a_place_for_parts_and_the_way_there(helm: Helm) -> None:
    change: Object = {
        "store": {"kind": "S3", "s3": {"bucket": "music", "endpoint": "https://s3.example.org"}},
        "networkPolicy": {"storeCIDRs": ["192.0.2.0/24"]},
    }
    objects = helm.render(merged(VALUES, change))
    pod = find(objects, "Deployment", "audiojob-files", "audiojob-demo")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["store"]["secret"]["secretName"] == "audiojob-store"
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    files = FilesSettings.read(environment(objects, "audiojob-files"))
    assert isinstance(files.store, S3Store)
    assert (files.store.bucket, str(files.credentials), str(files.parts)) == ("music", mounts["store"], mounts["parts"])
    assert volumes["parts"]["emptyDir"]["sizeLimit"] == str(files.parts_bytes)
    assert files.public_url is None
    _, bucket = find(objects, "NetworkPolicy", "audiojob-files", "audiojob-demo")["spec"]["egress"]
    assert bucket == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
