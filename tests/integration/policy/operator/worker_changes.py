"""The Job of a worker, and changes which a thief of the operator's token would want, with what the refusal names."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.integration.policy.operator.account import Object
from tests.integration.policy.operator.job_changes import SENTENCES as OF_PHASES

from audiojob_operator.building.template import job_skeleton
from audiojob_operator.worker_policy import work_item
from audiojob_types import constants as c
from audiojob_types.contract import MODELS_ROOT, SCRATCH_ROOT, STORE_CREDENTIALS
from audiojob_types.workers.pod import COMMANDS, CONTAINER_SERVE, CONTAINER_WORK, ROOM, ROOM_ROOT

Change = Callable[[Object], Any]
POOL = "gpu"
GPUS_HIDDEN = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}


def worker_job(namespace: str, *, bucket: bool = False, gpus: int = 0) -> Object:
    """As the runner's side wants it."""
    job = job_skeleton()
    labels = {c.LABEL_NAME: c.APP_NAME, c.LABEL_PART_OF: c.APP_NAME, c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR}
    labels[c.LABEL_POOL] = POOL
    owner = {"apiVersion": c.API_VERSION, "kind": "AudioWorkerPool", "name": POOL, "uid": "u", "controller": True}
    annotations = {c.ANNOTATION_WORKER: "0", c.ANNOTATION_BUILT_FROM: "a"}
    job["metadata"] = {
        "name": f"{POOL}-w-0a1b2c3d", "namespace": namespace, "labels": labels, "annotations": annotations,
        "ownerReferences": [owner],
    }  # fmt: skip
    template = job["spec"]["template"]
    template["metadata"] = {"labels": {**labels, c.LABEL_EGRESS: "store"}, "annotations": {c.ANNOTATION_WORK: "{}"}}
    pod = template["spec"]
    pod["terminationGracePeriodSeconds"] = 30
    pod["volumes"][0]["downwardAPI"]["items"] = [work_item()]
    claim = {"persistentVolumeClaim": {"claimName": c.STORE_CLAIM}}
    secret = {"secret": {"secretName": c.STORE_SECRET, "defaultMode": 0o440}}
    pod["volumes"] += [
        {"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "store", **(secret if bucket else claim)},
        {"name": "models", "persistentVolumeClaim": {"claimName": c.MODELS_CLAIM, "readOnly": True}},
    ]
    pod["containers"] = _containers(
        pod["containers"][0],
        {"mountPath": STORE_CREDENTIALS, "readOnly": True}
        if bucket
        else {"mountPath": f"/store/{namespace}", "subPath": namespace},
        gpus,
    )
    return job


def _containers(like: Object, store: Object, gpus: int) -> list[Object]:
    serve, work = deepcopy(like), deepcopy(like)
    for container, name in ((serve, CONTAINER_SERVE), (work, CONTAINER_WORK)):
        container |= {"name": name, "image": "docker.io/audiojob/runner-torch:1", "imagePullPolicy": "IfNotPresent"}
        container["command"] = [*like["command"][:-1], COMMANDS[name]]
    serve["env"] = [each for each in like["env"] if not each.get("value", "").startswith("/etc/")]
    serve["volumeMounts"].append({"name": "store", **store})
    serve["resources"] = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
    paths = [
        {**each, "value": each["value"].replace(SCRATCH_ROOT, ROOM_ROOT)} for each in serve["env"] if "value" in each
    ]
    work["env"] = [*paths, *([] if gpus else [GPUS_HIDDEN])]
    work["volumeMounts"] = [
        {"name": "scratch", "mountPath": ROOM_ROOT, "subPath": ROOM},
        {"name": "models", "mountPath": MODELS_ROOT, "readOnly": True},
    ]
    work["resources"] = {"limits": {"memory": "4Gi", **({c.GPU_RESOURCE: str(gpus)} if gpus else {})}}
    return [serve, work]


def part(name: str) -> Callable[[Object], Object]:
    """A container of the Job."""
    return lambda job: next(each for each in job["spec"]["template"]["spec"]["containers"] if each["name"] == name)


serve, work = part(CONTAINER_SERVE), part(CONTAINER_WORK)


def mount(of: Callable[[Object], Object], name: str, path: str, **more: Any) -> Change:
    return lambda job: of(job)["volumeMounts"].append({"name": name, "mountPath": path, **more})


def variable(of: Callable[[Object], Object], name: str) -> Change:
    """A variable of the other container."""
    return lambda job: of(job)["env"].append(next(each for each in serve(job)["env"] if each["name"] == name))


_LABELS, _POD = "metadata.labels", "spec.template.spec"
_SERVE, _WORK = (f"{_POD}.containers[{name}].volumeMounts" for name in (CONTAINER_SERVE, CONTAINER_WORK))
TOKEN_ROOT = "/var/run/secrets/kubernetes.io/serviceaccount"

# As of phases: what holds for every pod, here by the worker's own policy.
_SHARED = (
    "another account", "the automatic token", "another user", "a group of the node's files", "a pull secret",
    "the node's network", "one process space", "a node by name", "a folder of the node", "a privileged container",
    "an added capability", "another secret", "a secret in a projected volume", "another claim", "a driver's volume",
    "a secret in the environment", "all of a secret in the environment", "another image", "another command",
    "arguments", "a hook", "a probe", "another container", "two owners", "a finalizer",
    "no AudioJob", "labels of another Service", "an annotation for an injector", "many pods",
)  # fmt: skip

SENTENCES: dict[str, tuple[str, Change]] = {
    **{name: OF_PHASES[name] for name in _SHARED},
    # what decodes has neither token nor store
    "the token for what decodes": (_WORK, mount(work, "token", TOKEN_ROOT, readOnly=True)),
    "the store for what decodes": (_WORK, mount(work, "store", "/store/all", subPath="all", readOnly=True)),
    "the work file for what decodes": (_WORK, mount(work, "phase", "/etc/audiojob", readOnly=True)),
    "all scratch space for what decodes": (_WORK, mount(work, "scratch", "/scratch")),
    "another folder of the scratch space for what decodes": (
        _WORK, mount(work, "scratch", "/scratch/ahead", subPath="ahead"),
    ),
    "models to write into": (_WORK, lambda job: work(job)["volumeMounts"][1].pop("readOnly")),
    "the pod's name for what decodes": ("command and env", variable(work, "AUDIOJOB_POD_NAME")),
    "what decodes in the place of what serves": (
        "command and env", lambda job: work(job).update(command=list(serve(job)["command"])),
    ),
    # what serves
    "the whole store": (_SERVE, lambda job: serve(job)["volumeMounts"][-1].pop("subPath")),
    "another namespace's folder": (_SERVE, mount(serve, "store", "/store/other", subPath="other")),
    "a job's folder over our code": (_SERVE, mount(serve, "store", "/usr/lib", subPath="all")),
    "models for what serves": (_SERVE, mount(serve, "models", "/models", readOnly=True)),
    "a phase file": (
        "command and env",
        lambda job: serve(job)["env"].append({"name": "AUDIOJOB_PHASE_FILE", "value": "/etc/audiojob/phase.json"}),
    ),
    "a GPU for what serves": (
        f"{_POD}.containers: ", lambda job: serve(job)["resources"]["limits"].update({c.GPU_RESOURCE: "1"}),
    ),
    "one container alone": (f"{_POD}.containers", lambda job: job["spec"]["template"]["spec"]["containers"].pop()),
    "the containers the other way round": (
        f"{_POD}.containers", lambda job: job["spec"]["template"]["spec"]["containers"].reverse(),
    ),
    "a Secret for fetching": (
        f"{_POD}.volumes",
        lambda job: job["spec"]["template"]["spec"]["volumes"].append(
            {"name": "fetch", "secret": {"secretName": c.FETCH_SECRET}}
        ),
    ),
    "a library": (
        f"{_POD}.volumes",
        lambda job: job["spec"]["template"]["spec"]["volumes"].append(
            {"name": "library-nas", "persistentVolumeClaim": {"claimName": "nas-music"}}
        ),
    ),
    "inputs of a phase in its file": (
        f"{_POD}.volumes",
        lambda job: job["spec"]["template"]["spec"]["volumes"][0]["downwardAPI"]["items"].append(
            {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}, "path": "labels"}
        ),
    ),
    "another init container": (_POD, OF_PHASES["another init container"][1]),
    # labels and owner
    "an AudioJob for its owner": (
        "metadata.ownerReferences", lambda job: job["metadata"]["ownerReferences"][0].update(kind="AudioJob"),
    ),
    "another pool for its owner": (
        "metadata.ownerReferences", lambda job: job["metadata"]["ownerReferences"][0].update(name="other"),
    ),
    "an AudioJob in its labels": (_LABELS, lambda job: job["metadata"]["labels"].update({c.LABEL_JOB: "song"})),
    "no manager": (_LABELS, lambda job: job["metadata"]["labels"].pop(c.LABEL_MANAGED_BY)),
    "a pod of another pool": (
        "spec.template.metadata.labels",
        lambda job: job["spec"]["template"]["metadata"]["labels"].update({c.LABEL_POOL: "other"}),
    ),
    "a way to the internet": (
        "spec.template.metadata.labels",
        lambda job: job["spec"]["template"]["metadata"]["labels"].update({c.LABEL_EGRESS: "internet"}),
    ),
    "a phase in its annotations": (
        "spec.template.metadata.annotations",
        lambda job: job["spec"]["template"]["metadata"]["annotations"].update({c.ANNOTATION_PHASE: "{}"}),
    ),
}  # fmt: skip
