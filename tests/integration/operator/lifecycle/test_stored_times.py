"""Jobs whose times were stored before the API server checked them as strictly as now."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space, working
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import API_VERSION
from audiojob_types.generate.crd import audiojob_crd, to_yaml

pytestmark = pytest.mark.integration

GOOD = {"small letters": "2026-11-28t07:00:00z", "a small zone": "2026-11-28T07:00:00z"}
BAD = {
    "the year 0000": "0000-01-01T00:00:00Z",
    "after the last moment": "9999-12-31T23:59:59-14:00",
    "an offset that is none": "2026-11-28T07:00:00+99:99",
    "text behind": "2026-11-28T07:00:00ZTgarbage",
}


def store(server: LocalApiServer, space: Space, times: dict[str, str], folder: Path) -> None:
    """Store jobs with these times under the schema that times had before."""
    before = audiojob_crd()
    schema = before["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    schema["spec"]["properties"]["startTime"] = {"type": "string", "format": "date-time"}
    (folder / "audiojobs.yaml").write_text(to_yaml(before), encoding="utf-8")
    server.apply_crds(folder)
    try:
        for name, text in times.items():
            wait_until(f"{text} to be taken", partial(taken, space, name, text), seconds=60)
    finally:
        server.apply_crds(repository() / "crds")
    wait_until("times to be checked again", lambda: not would_be_taken(space, BAD["the year 0000"]), seconds=60)


def taken(space: Space, name: str, text: str) -> bool:
    try:
        space.submit(name.replace(" ", "-"), startTime=text)
    except RestError:
        return False
    return True


def would_be_taken(space: Space, text: str) -> bool:
    """Nothing is stored: a name that is there would be refused for another reason."""
    spec = {"pipeline": space.pipeline, "startTime": text}
    body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": "probe"}, "spec": spec}
    try:
        space.rest.request("POST", f"{space.jobs_path}?dryRun=All", body)
    except RestError:
        return False
    return True


def test_they_are_worked_on_or_end_with_a_sentence(
    controllers: LocalApiServer, space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    store(controllers, space, GOOD | BAD, tmp_path)
    with working(space, proxy, tmp_path, succeed):
        for name in GOOD:
            assert space.finished(name.replace(" ", "-"))["status"]["state"] == "Succeeded", name
        for name in BAD:
            ended: Object = space.finished(name.replace(" ", "-"))["status"]
            assert (ended["state"], ended["error"]["reason"]) == ("Failed", "InvalidSpec"), name
            assert "spec.startTime must be a time such as 2026-01-31T08:00:00Z" in ended["error"]["message"]
