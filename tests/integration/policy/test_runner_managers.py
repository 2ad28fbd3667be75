"""A runner's reports leave the record of managers as it is: nothing is added for ever, nothing of others is lost."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.policy.space import Namespace
from tests.integration.policy.test_runner_policy import OWN_POD, STATUS, entry

from audiojob_types.constants import API_VERSION, GROUP

pytestmark = pytest.mark.integration

APPLY = "application/apply-patch+yaml"
MANAGERS: dict[str, tuple[str, str]] = {
    "as another manager": ("?fieldManager=m1", "application/merge-patch+json"),
    "by apply": ("?fieldManager=audiojob-runner&force=true", APPLY),
    "by apply as another manager": ("?fieldManager=m1&force=true", APPLY),
}


@pytest.mark.parametrize(("query", "kind"), MANAGERS.values(), ids=MANAGERS.keys())
def test_reports_add_no_managers(space: Namespace, query: str, kind: str) -> None:
    """Each manager that applies stays in the object for ever: thousands of them are what etcd takes."""
    job = space.audiojob(STATUS)
    token = space.pod(OWN_POD)
    assert space.report(token, job, entry(percent=10)).status == 200
    now = space.read(job)
    before = now["metadata"]["managedFields"]
    # Who applies says the whole status: it is one value, and what is not said of it would be removed.
    status = {**now["status"], **entry(percent=20)}
    body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": job}, "status": status}
    answer = space.send(token, "PATCH", f"audiojobs/{job}/status{query}", body, kind)
    assert answer.status == 403, answer
    assert "must patch as field manager audiojob-runner" in answer.message
    assert space.read(job)["metadata"]["managedFields"] == before


def test_a_report_does_not_bring_managers_along(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    fields: dict[str, Any] = {"f:status": {f"f:{'x' * 90}{number}": {} for number in range(2_000)}}
    managers = [
        {"manager": name, "operation": "Update", "apiVersion": API_VERSION, "subresource": "status",
         "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields}
        for name in ("audiojob-runner", "other")
    ]  # fmt: skip
    token = space.pod(OWN_POD)
    space.report(token, job, entry(), metadata={"managedFields": managers})
    assert len(str(space.read(job))) < 10_000


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"kind": "AudioQueue"}, id="another kind"),
        pytest.param({"apiVersion": "v1", "kind": "Pod"}, id="a kind of another group"),
        pytest.param({"apiVersion": f"{GROUP}/v9"}, id="a version that there is not"),
    ],
)
def test_a_report_that_names_something_else_does_not_lose_the_managers(space: Namespace, other: dict[str, str]) -> None:
    """The API server would store it as the right kind, and forget all managers."""
    job = space.audiojob(STATUS)
    before = space.read(job)["metadata"]["managedFields"]
    answer = space.report(space.pod(OWN_POD), job, entry(), **other)
    assert answer.status == 403, answer
    assert space.read(job)["metadata"]["managedFields"] == before


def test_reports_and_the_operators_writes_are_remembered_as_one_field(space: Namespace) -> None:
    """The names of all fields of a status would make each write to it dearer for the API server by a third."""
    job = space.audiojob(STATUS)
    assert space.report(space.pod(OWN_POD), job, entry(percent=10)).status == 200
    managers = space.read(job)["metadata"]["managedFields"]
    fields = [each["fieldsV1"] for each in managers if each.get("subresource") == "status"]
    assert fields == [{"f:status": {}}]
