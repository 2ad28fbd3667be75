"""What may be changed of Jobs and pods of phases: the operator tells a pod its inputs once, a worker its work again and
again, and nobody else tells any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from tests.integration.policy.operator.account import FOLDER, PROBE, Account, Object, installed
from tests.integration.policy.space import Answer, send

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError, wait_until
from audiojob_operator.building.telling import inputs_patch
from audiojob_operator.records.plan import Telling, TellingAgain
from audiojob_types import constants as c
from audiojob_types.generate.children_policy import TELLING_NAME, WORDS_NAME
from audiojob_types.workers.order import MAX_ORDER_BYTES

pytestmark = pytest.mark.integration

JSON_PATCH = "application/json-patch+json"
INPUTS = "/metadata/annotations/audiojobs.dev~1inputs"
PHASE = "/metadata/annotations/audiojobs.dev~1phase"
UID = "/metadata/labels/audiojobs.dev~1uid"
OURS = {c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR, c.LABEL_JOB: "song", c.LABEL_UID: "uid-1"}


class Pods:
    """Pods of a job namespace, patched by the operator's account or by an administrator."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.rest = account.server.rest
        self.path = f"/api/v1/namespaces/{account.namespace}/pods"
        self.jobs = f"/apis/batch/v1/namespaces/{account.namespace}/jobs"

    def named(self, name: str, inputs: str | None = "", work: str | None = None, **more: Any) -> Object:
        """The pod of that name; made if it is not there. ``work``: a worker's, which has no inputs."""
        try:
            found: Object = self.rest.request("GET", f"{self.path}/{name}")
        except RestError:
            annotations = {c.ANNOTATION_PHASE: "{}"} | ({c.ANNOTATION_INPUTS: inputs} if inputs is not None else {})
            annotations = annotations if work is None else {c.ANNOTATION_WORK: work}
            labels = more.pop("labels", OURS)
            body = {
                "metadata": {"name": name, "labels": labels, "annotations": annotations},
                "spec": {**deepcopy(PROBE), "serviceAccountName": c.RUNNER_SERVICE_ACCOUNT, **more},
            }
            found = self.rest.request("POST", self.path, body)
        return found

    def by_operator(self, pod: Object, operations: list[Object], *, stored: bool = False) -> Answer:
        path = f"{self.path}/{pod['metadata']['name']}" + ("" if stored else "?dryRun=All")
        return send(self.account.server, self.account.token, "PATCH", path, operations, JSON_PATCH)

    def by_admin(self, path: str, operations: list[Object]) -> str:
        """The refusal; empty where it was taken."""
        try:
            self.rest.request("PATCH", f"{path}?dryRun=All", operations, content_type=JSON_PATCH)
        except RestError as error:
            return str(error)
        return ""


@pytest.fixture(scope="module")
def pods(apiserver: LocalApiServer) -> Iterator[Pods]:
    with installed(apiserver, FOLDER) as account:
        apiserver.ensure_service_account(account.namespace, c.RUNNER_SERVICE_ACCOUNT)
        found = Pods(account)
        probe = found.named("probe")
        change = [{"op": "add", "path": "/metadata/labels/audiojobs.dev~1job", "value": "other"}]

        def in_force() -> bool:
            refused = found.by_operator(probe, change)
            return TELLING_NAME in refused.message and WORDS_NAME in found.by_admin(f"{found.path}/probe", change)

        wait_until("the policies", in_force, seconds=30)
        yield found


def telling(pod: Object, deadline: int | None = 60) -> list[Object]:
    return inputs_patch(Telling(pod["metadata"]["name"], pod["metadata"]["uid"], json.dumps({"a": 1}), deadline))


def test_the_operator_tells_a_pod_its_inputs_with_its_deadline_once(pods: Pods) -> None:
    pod = pods.named("told")
    assert pods.by_operator(pod, telling(pod, None)).status == 200
    assert pods.by_operator(pod, telling(pod), stored=True).status == 200
    now = pods.named("told")
    assert now["metadata"]["annotations"][c.ANNOTATION_INPUTS] == '{"a": 1}'
    assert now["spec"]["activeDeadlineSeconds"] == 60
    assert pods.by_operator(pod, telling(pod)).status == 422, "its own test does not hold: it was told, by whomever"
    forced = pods.by_operator(pod, [{"op": "replace", "path": INPUTS, "value": "other"}])
    assert (forced.status, TELLING_NAME in forced.message) == (403, True), "row 34: the first holds"


def told_again(pod: Object, time: int) -> list[Object]:
    return inputs_patch(TellingAgain(pod["metadata"]["name"], pod["metadata"]["uid"], time))


def test_the_operator_tells_a_pod_again_that_it_was_told_and_nothing_else(pods: Pods) -> None:
    untold = pods.named("not-told")
    assert pods.by_operator(untold, told_again(untold, 1)).status == 403
    assert pods.by_operator(untold, telling(untold, None), stored=True).status == 200
    for time in (1, 2):
        assert pods.by_operator(untold, told_again(untold, time), stored=True).status == 200
    for refused in (
        told_again(untold, 3),
        [*told_again(untold, 1), {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}],
        [{"op": "remove", "path": "/metadata/annotations/audiojobs.dev~1told-again"}],
        *([*told_again(untold, 1), each] for each in REFUSED.values()),
    ):
        answer = pods.by_operator(untold, refused)
        assert (answer.status, TELLING_NAME in answer.message) == (403, True), refused


IMAGE: Object = {"op": "replace", "path": "/spec/containers/0/image", "value": "example.org/evil"}
OWNER: Object = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}
# With what the operator may say, unless the inputs are changed themselves.
REFUSED: dict[str, Object] = {
    "another image": IMAGE,
    "a toleration": {"op": "add", "path": "/spec/tolerations/-", "value": {"key": "x", "operator": "Exists"}},
    "another phase file": {"op": "replace", "path": PHASE, "value": "{1}"},
    "another annotation": {"op": "add", "path": "/metadata/annotations/a", "value": "b"},
    "an annotation less": {"op": "remove", "path": PHASE},
    "a label": {"op": "add", "path": "/metadata/labels/a", "value": "b"},
    "a label less": {"op": "remove", "path": UID},
    "a finalizer": {"op": "add", "path": "/metadata/finalizers", "value": ["a.b/c"]},
    "an owner": {"op": "add", "path": "/metadata/ownerReferences", "value": [OWNER]},
    "inputs that are empty": {"op": "replace", "path": INPUTS, "value": ""},
    "no inputs any more": {"op": "remove", "path": INPUTS},
}


@pytest.mark.parametrize("alone", [False, True], ids=["with the inputs", "alone"])
@pytest.mark.parametrize("operation", REFUSED.values(), ids=REFUSED.keys())
def test_the_operator_may_not_change_of_a_pod(pods: Pods, operation: Object, alone: bool) -> None:
    pod = pods.named("changed")
    answer = pods.by_operator(pod, [operation] if alone else [*telling(pod), operation])
    assert (answer.status, TELLING_NAME in answer.message) == (403, True), answer.message


OTHERS: dict[str, dict[str, Any]] = {
    "began in its turn": {"inputs": None},
    "has a deadline": {"activeDeadlineSeconds": 50},
    "is somebody else's": {"labels": {"app": "web"}},
}


@pytest.mark.parametrize("made", OTHERS.values(), ids=OTHERS.keys())
def test_the_operator_tells_no_inputs_to_a_pod_that(pods: Pods, made: dict[str, Any]) -> None:
    pod = pods.named(f"other-{next(iter(made)).lower()}", **dict(made))
    told = {"op": "add", "path": INPUTS, "value": "{}"}
    answer = pods.by_operator(pod, [told, {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 20}])
    assert (answer.status, TELLING_NAME in answer.message) == (403, True), answer.message


# ---------------------------------------------------------------- workers


WORK = "/metadata/annotations/audiojobs.dev~1work"
POOL = {c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR, c.LABEL_POOL: "gpu"}


def worker_of(pods: Pods, name: str) -> Object:
    return pods.named(name, labels=POOL, work='{"pool":"gpu"}')


def test_the_operator_tells_a_worker_its_work_again_and_again(pods: Pods) -> None:
    for told in ('{"told":1}', "x" * MAX_ORDER_BYTES, '{"pool":"gpu"}'):
        pod = worker_of(pods, "worker")
        old = pod["metadata"]["annotations"][c.ANNOTATION_WORK]
        uid = {"op": "test", "path": "/metadata/uid", "value": pod["metadata"]["uid"]}
        change = [uid, {"op": "test", "path": WORK, "value": old}, {"op": "replace", "path": WORK, "value": told}]
        answer = pods.by_operator(pod, change, stored=True)
        assert answer.status == 200, answer.message
    assert worker_of(pods, "worker")["metadata"]["annotations"][c.ANNOTATION_WORK] == '{"pool":"gpu"}'


REFUSED_OF_A_WORKER: dict[str, Object] = {
    "too much": {"op": "replace", "path": WORK, "value": "x" * (MAX_ORDER_BYTES + 1)},
    "too many bytes": {"op": "replace", "path": WORK, "value": "é" * (MAX_ORDER_BYTES // 2 + 1)},
    "nothing": {"op": "replace", "path": WORK, "value": ""},
    "no work any more": {"op": "remove", "path": WORK},
    "its inputs": {"op": "add", "path": INPUTS, "value": "{}"},
    "a deadline": {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 60},
    "another pool": {"op": "replace", "path": "/metadata/labels/audiojobs.dev~1pool", "value": "cpu"},
    "no pool": {"op": "remove", "path": "/metadata/labels/audiojobs.dev~1pool"},
    "another image": IMAGE,
    "an owner": REFUSED["an owner"],
}


@pytest.mark.parametrize("operation", REFUSED_OF_A_WORKER.values(), ids=REFUSED_OF_A_WORKER.keys())
def test_the_operator_may_not_change_of_a_worker(pods: Pods, operation: Object) -> None:
    telling = {"op": "replace", "path": WORK, "value": "{}"}
    more = [] if operation["path"] == WORK else [telling]
    answer = pods.by_operator(worker_of(pods, "worker-changed"), [*more, operation])
    assert (answer.status, TELLING_NAME in answer.message) == (403, True), answer.message


MADE: dict[str, dict[str, Any]] = {
    "has no pool": {"labels": OURS, "work": "{}"},
    "was made without work": {"labels": POOL},
    "is somebody else's": {"labels": {c.LABEL_POOL: "gpu"}, "work": "{}"},
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_the_operator_tells_no_work_to_a_pod_that(pods: Pods, made: dict[str, Any]) -> None:
    pod = pods.named(f"no-worker-{len(made)}-{len(made['labels'])}", **made)
    answer = pods.by_operator(pod, [{"op": "add", "path": WORK, "value": '{"told":[]}'}])
    assert (answer.status, TELLING_NAME in answer.message) == (403, True), answer.message


def test_nobody_else_tells_a_worker(pods: Pods) -> None:
    worker_of(pods, "worker")
    for path in (f"{pods.path}/worker", f"{pods.path}/worker/status"):
        assert WORDS_NAME in pods.by_admin(path, [{"op": "replace", "path": WORK, "value": "{}"}])


# ---------------------------------------------------------------- everybody else


WORDS: dict[str, Object] = {
    "the inputs": {"op": "replace", "path": INPUTS, "value": "{}"},
    "the phase file": {"op": "replace", "path": PHASE, "value": "{}!"},
    "a new annotation of ours": {"op": "add", "path": "/metadata/annotations/audiojobs.dev~1early", "value": "x"},
    "a label of ours": {"op": "replace", "path": UID, "value": "x"},
    "a label of ours less": {"op": "remove", "path": UID},
    "who manages it": {"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1managed-by"},
}


@pytest.mark.parametrize("operation", WORDS.values(), ids=WORDS.keys())
@pytest.mark.parametrize("subresource", ["", "/status"], ids=["by itself", "by its status"])
def test_nobody_else_changes_of_a_pod(pods: Pods, operation: Object, subresource: str) -> None:
    pod = pods.named("words")
    assert WORDS_NAME in pods.by_admin(f"{pods.path}/{pod['metadata']['name']}{subresource}", [operation])


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_nobody_else_changes_our_words_on_a_job(pods: Pods, field: str) -> None:
    body = {
        "metadata": {"name": f"job-{field}", "labels": OURS},
        "spec": {"suspend": True, "template": {"spec": PROBE}},
    }
    pods.rest.request("POST", pods.jobs, body)
    operation = {"op": "add", "path": f"/metadata/{field}", "value": {**OURS, f"{c.GROUP}/device": "GPU"}}
    assert WORDS_NAME in pods.by_admin(f"{pods.jobs}/job-{field}", [operation])


FREE: dict[str, Object] = {
    "an annotation of their own": {"op": "add", "path": "/metadata/annotations/a", "value": "b"},
    "a label of their own": {"op": "add", "path": "/metadata/labels/a", "value": "b"},
    "an image": IMAGE,
}


@pytest.mark.parametrize("operation", FREE.values(), ids=FREE.keys())
def test_others_go_on_changing(pods: Pods, operation: Object) -> None:
    pod = pods.named("words")
    assert pods.by_admin(f"{pods.path}/{pod['metadata']['name']}", [operation]) == ""


def test_pods_of_others_are_their_own(pods: Pods) -> None:
    pod = pods.named("foreign", labels={"app": "web"})
    operation = {"op": "add", "path": "/metadata/labels/audiojobs.dev~1job", "value": "x"}
    assert pods.by_admin(f"{pods.path}/{pod['metadata']['name']}", [operation]) == ""
