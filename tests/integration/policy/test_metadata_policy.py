"""Metadata of our kinds: bounded, so that an object can always be written; and ours in the domain that is ours."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.integration.policy.space import JOBS, RBAC, Answer, Namespace, prepare
from tests.support.rights import until_allowed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import bind
from audiojob_types.generate.metadata_policy import NAME, policy

pytestmark = pytest.mark.integration

Object = dict[str, Any]

EDIT = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")  # as the chart's role
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
JSON = "application/json"


@dataclass(frozen=True)
class Users:
    """A namespace with one who may edit AudioJobs, and one who may also vouch for users, as the API may."""

    space: Namespace
    user: str
    api: str

    def create(self, token: str, **metadata: Any) -> Answer:
        body = {"apiVersion": c.API_VERSION, "kind": "AudioJob", "spec": {"pipeline": "separate"}}
        named = {"name": f"song-{uuid.uuid4().hex[:8]}", **metadata}
        return self.space.send(token, "POST", "audiojobs", {**body, "metadata": named}, JSON)

    def made(self, **metadata: Any) -> str:
        """An AudioJob that the API has made."""
        answer = self.create(self.api, **metadata)
        assert answer.status == 201, answer.message
        name: str = answer.body["metadata"]["name"]
        return name

    def patch(self, job: str, metadata: Object, token: str = "", **others: Any) -> Answer:
        return self.space.send(token or self.user, "PATCH", f"audiojobs/{job}", {"metadata": metadata, **others})


def account(space: Namespace, name: str, verbs: tuple[str, ...]) -> str:
    """A service account with these verbs on AudioJobs; its token."""
    server, path = space.server, f"{RBAC}/namespaces/{space.name}"
    server.ensure_service_account(space.name, name)
    rules = [{"apiGroups": [c.GROUP], "resources": ["audiojobs"], "verbs": list(verbs)}]
    server.rest.request("POST", f"{path}/roles", {"metadata": {"name": name}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": space.name}]
    bound = {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects}
    server.rest.request("POST", f"{path}/rolebindings", bound)
    until_allowed(server.rest, space.name, name, verbs[0])
    return server.service_account_token(space.name, name)


@pytest.fixture(scope="module")
def users(apiserver: LocalApiServer) -> Iterator[Users]:
    space = prepare(apiserver, f"metadata-{uuid.uuid4().hex[:8]}")
    found = Users(space, account(space, "user", EDIT), account(space, "api", (*EDIT, c.VERB_ATTEST)))
    many = labels(c.MAX_LABELS + 1)
    before = found.create(found.user, name="from-before", labels=many)
    assert before.status == 201, before.message
    apiserver.kubectl.apply(policy(), bind(NAME))
    try:
        wait_until("the policy", lambda: NAME in found.create(found.user, labels=many).message, seconds=30)
        yield found
    finally:
        apiserver.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", NAME)
        gone = lambda: found.create(found.user, labels=many).status == 201  # noqa: E731
        wait_until("the policy's end", gone, seconds=30)
        space.delete()


def labels(count: int, size: int = 10) -> dict[str, str]:
    return {f"k{number:04}.example.org/{'n' * size}": "v" * size for number in range(count)}


def manager(name: str, fields: Object) -> Object:
    return {
        "manager": name, "operation": "Apply", "apiVersion": c.API_VERSION, "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }  # fmt: skip


def nested(depth: int, size: int) -> Object:
    """Fields whose one long name lies so deep."""
    return {"f:" + "x" * size: {}} if depth == 1 else {"f:a": nested(depth - 1, size)}


TOO_MUCH: dict[str, tuple[Object, str]] = {
    "many labels": ({"labels": labels(c.MAX_LABELS + 1)}, "metadata.labels may have at most 64"),
    "long labels": ({"labels": labels(c.MAX_LABELS, 63) | {"a" * 250 + ".b/c": ""}}, "metadata.labels"),
    "thousands of labels": ({"labels": labels(4_000, 60)}, ""),
    "many annotations": ({"annotations": labels(c.MAX_ANNOTATIONS + 1)}, "metadata.annotations may have at most 64"),
    "a long annotation": ({"annotations": {"a": "x" * (c.MAX_ANNOTATIONS_BYTES + 1)}}, "metadata.annotations"),
    "an annotation of few, wide characters": (
        {"annotations": {"a": "𝄞" * (c.MAX_ANNOTATIONS_BYTES // 4 + 1)}}, "metadata.annotations",
    ),
    "an annotation of characters that take six bytes": (
        {"annotations": {"a": "<" * (c.MAX_ANNOTATIONS_BYTES // 6 + 1)}}, "metadata.annotations",
    ),
    "more than kubectl applies, in characters that take six bytes": (
        {"annotations": {LAST_APPLIED: "\x01" * (c.MAX_LAST_APPLIED_BYTES // 6 + 1)}}, "kubectl apply --server-side",
    ),
    "more than kubectl applies": (
        {"annotations": {LAST_APPLIED: "x" * (c.MAX_LAST_APPLIED_BYTES + 1)}}, "kubectl apply --server-side",
    ),
    "many finalizers": ({"finalizers": [f"a.b/{number}" for number in range(17)]}, "metadata.finalizers"),
    "many owners": (
        {"ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": f"a{n}", "uid": f"u{n}"} for n in range(17)]},
        "metadata.ownerReferences",
    ),
    "an owner of a long kind": (
        {"ownerReferences": [{"apiVersion": "v1", "kind": "A" * 9_000, "name": "a", "uid": "u"}]},
        "metadata.ownerReferences",
    ),
    "an owner of few, wide characters": (
        {"ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "a", "uid": "𝄞" * 2_050}]},
        "metadata.ownerReferences",
    ),
    "many managers": (
        {"managedFields": [manager(f"m{number}", nested(2, 1)) for number in range(17)]}, "metadata.managedFields",
    ),
    "a manager of many fields": (
        {"managedFields": [manager("m", {"f:metadata": {"f:labels": {f"f:{'x' * 90}{n}": {} for n in range(900)}}})]},
        "metadata.managedFields",
    ),
    "a manager of a field with a long name": ({"managedFields": [manager("m", nested(5, 70_000))]}, "managedFields"),
    "a manager of a field of few, wide characters": (
        {"managedFields": [manager("m", nested(2, 0) | {"f:" + "𝄞" * 17_000: {}})]}, "managedFields",
    ),
    "a manager of a field of characters that take six bytes": (
        {"managedFields": [manager("m", {"f:" + "\x01" * 11_000: {}})]}, "managedFields",
    ),
    "a manager of thousands of short names": (
        {"managedFields": [manager("m", {"f:spec": {f"f:{n}": {} for n in range(7_000)}})]}, "managedFields",
    ),
    "a manager of fields that lie deep": ({"managedFields": [manager("m", nested(12, 300))]}, "managedFields"),
}  # fmt: skip


@pytest.mark.parametrize(("metadata", "words"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_no_object_grows_by_its_metadata(users: Users, metadata: Object, words: str) -> None:
    answer = users.create(users.user, **metadata)
    assert answer.status in {403, 422}, answer
    assert words in answer.message, answer.message
    assert NAME in answer.message or "request is too large" in answer.message, answer.message
    job = users.made()
    assert users.patch(job, metadata).status in {403, 422}
    assert len(json.dumps(users.space.read(job))) < 4_000


ENOUGH: dict[str, Object] = {
    "as many labels as may be": {"labels": labels(c.MAX_LABELS)},
    "as many annotations as may be": {"annotations": labels(c.MAX_ANNOTATIONS)},
    "what kubectl applies": {"annotations": {LAST_APPLIED: "x" * c.MAX_LAST_APPLIED_BYTES, "a": "b"}},
    "an owner and finalizers": {
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}],
        "labels": {"app": "x"},
    },
}


@pytest.mark.parametrize("metadata", ENOUGH.values(), ids=ENOUGH.keys())
def test_what_people_and_tools_need_is_taken(users: Users, metadata: Object) -> None:
    answer = users.create(users.user, **metadata)
    assert answer.status == 201, answer.message


def test_an_object_from_before_can_be_changed_and_made_smaller(users: Users) -> None:
    some = next(iter(labels(1)))
    assert users.patch("from-before", {}, spec={"priority": 7}).status == 200
    assert users.patch("from-before", {"labels": {"one": "more"}}).status == 422
    assert users.patch("from-before", {"labels": {some: None}}, spec={"cancel": True}).status == 200


def test_whoever_fills_the_record_of_managers_does_not_keep_others_from_ending_the_job(users: Users) -> None:
    many = users.made(managedFields=[manager(f"m{number}", nested(2, 1)) for number in range(c.MAX_MANAGERS)])
    full, left = users.made(), c.MAX_MANAGED_FIELDS_BYTES
    fields: Object
    while left:  # as close to the limit as it gets
        fields = {"f:spec": {"f:" + "x" * left: {}}}
        left = 0 if users.patch(full, {"managedFields": [manager("m", fields)]}).status == 200 else left - 5

    def suspend(token: str, job: str) -> int:
        return users.space.send(token, "PATCH", f"audiojobs/{job}?fieldManager=x", {"spec": {"suspend": True}}).status

    assert suspend(users.user, many) == 200
    assert suspend(users.user, full) == 422
    assert suspend(users.api, full) == 200


def test_what_kubectl_applied_does_not_grow_by_other_characters(users: Users) -> None:
    job = users.made(annotations={LAST_APPLIED: "x" * c.MAX_LAST_APPLIED_BYTES})
    assert users.patch(job, {"annotations": {LAST_APPLIED: "<" * c.MAX_LAST_APPLIED_BYTES}}).status == 422
    assert users.patch(job, {"annotations": {LAST_APPLIED: "x"}}).status == 200


RESERVED: dict[str, Object] = {
    "another's name": {"labels": {c.LABEL_USER: "alice"}},
    "a mark of a request": {"annotations": {f"{c.GROUP}/request": "a.b"}},
    "a name that is not used yet": {"annotations": {f"{c.GROUP}/new": ""}},
    "a name below ours": {"labels": {f"x.{c.GROUP}/user": "alice"}},
    "a name in capital letters": {"annotations": {f"{c.GROUP.upper()}/request": "a.b"}},
}


@pytest.mark.parametrize("metadata", RESERVED.values(), ids=RESERVED.keys())
def test_metadata_of_our_domain_is_set_only_by_those_who_may_attest(users: Users, metadata: Object) -> None:
    (field, entries), *_ = metadata.items()
    (key, _value), *_ = entries.items()
    assert users.create(users.api, **metadata).status == 201
    answer = users.create(users.user, **metadata)
    assert (answer.status, "is reserved" in answer.message) == (403, True), answer
    assert users.patch(users.made(), metadata).status == 403, "added later"
    job = users.made(**metadata)
    assert users.patch(job, {field: {key: "other"}}).status == 403, "changed"
    assert users.patch(job, {field: {key: None}}).status == 403, "removed"
    assert users.patch(job, metadata, spec={"priority": 3}).status == 200, "left as it is"


def test_kubectl_apply_of_a_job_as_it_is_works(users: Users) -> None:
    job = users.made(labels={c.LABEL_USER: "alice"}, annotations={f"{c.GROUP}/request": ".x"})
    whole = users.space.read(job)
    whole["spec"]["priority"] = 8
    kept = {key: whole["metadata"][key] for key in ("name", "labels", "annotations")}
    body = {**{key: whole[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept}
    applied = users.space.send(
        users.user, "PATCH", f"audiojobs/{job}?fieldManager=kubectl&force=true", body, "application/apply-patch+yaml"
    )
    assert applied.status == 200, applied.message
    kept["annotations"][LAST_APPLIED] = json.dumps(body)
    assert users.patch(job, kept, spec=body["spec"]).status == 200
    assert users.space.send(users.user, "PUT", f"audiojobs/{job}", users.space.read(job), JSON).status == 200


def test_relatives_are_bounded_too_and_a_full_pipeline_is_taken(users: Users) -> None:
    rest = users.space.server.rest
    phases = [{"name": f"p{number}", "task": "Transcode"} for number in range(16)]
    kinds = {
        f"/apis/{c.API_VERSION}/audiopipelines": ("AudioPipeline", {"phases": phases}),
        f"{JOBS}/{users.space.name}/audioqueues": ("AudioQueue", {"maxRunning": 1}),
    }
    for path, (kind, spec) in kinds.items():
        body = {"apiVersion": c.API_VERSION, "kind": kind, "metadata": {"name": users.space.name}, "spec": spec}
        rest.request("POST", f"{path}?dryRun=All", body)
        body["metadata"] = {"name": users.space.name, "labels": labels(65)}
        with pytest.raises(Exception, match=r"metadata\.labels may have at most 64"):
            rest.request("POST", f"{path}?dryRun=All", body)
