"""The ValidatingAdmissionPolicy for the Jobs of workers: one pod with a container that has the store and the token and
decodes nothing, and one that decodes and has neither.

A worker runs phases of many AudioJobs, so its pod is pinned as that of a phase, and besides container by container.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_operator.building.job import STAY
from audiojob_operator.policy_parts import (
    ARE_OURS,
    GPUS_HIDDEN,
    IS_A_GPU,
    IS_WORKER,
    JOB_CONTROLLER_LABELS,
    KUEUE,
    OURS,
    STORE_AND_MODELS,
    VARIABLES,
    WEBHOOKS,
    asks_for,
    filled_members,
    identity,
    images,
    job_spec,
    named,
    only,
    operator_policy,
    pod_members,
    security_contexts,
    skeleton_pod,
)
from audiojob_operator.records.objects import Object
from audiojob_types import constants as c
from audiojob_types.contract import ENV_PHASE_FILE, MODELS_ROOT, SCRATCH_ROOT
from audiojob_types.descriptor import Egress
from audiojob_types.generate.admission_policy import forbid, literal
from audiojob_types.workers.order import WORK_FILE
from audiojob_types.workers.pod import COMMANDS, CONTAINER_SERVE, CONTAINER_WORK, ROOM, ROOM_ROOT

WORKERS_NAME: Final = "audiojob-operator-workers"
_BY_POOL: Final = ("terminationGracePeriodSeconds", "affinity")
_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"


def _metadata() -> list[dict[str, str]]:
    shared = (*OURS, c.LABEL_POOL)
    known = literal([*shared, c.LABEL_EGRESS, *JOB_CONTROLLER_LABELS])
    return [
        forbid(
            f"{ARE_OURS} && variables.labels.all(k, k in {literal([*shared, c.LABEL_EGRESS])} || "
            f"k.startsWith('{KUEUE}'))",
            f"metadata.labels: the Job of a worker is managed by {c.MANAGER_OPERATOR}, names its pool in "
            f"{c.LABEL_POOL}, and no AudioJob; leave out other labels",
        ),
        forbid(
            "size(variables.owners) == 1 && variables.owners.all(o, "
            f"o.apiVersion.startsWith('{c.GROUP}/') && o.kind == 'AudioWorkerPool' && "
            f"o.?controller.orValue(false) && variables.labels[?'{c.LABEL_POOL}'] == optional.of(o.name)) && "
            "size(object.metadata.?finalizers.orValue([])) == 0",
            "metadata.ownerReferences: the Job of a worker belongs to the AudioWorkerPool of its labels and nothing "
            "else, and goes with it; name that pool as its controller, and no finalizer",
        ),
        forbid(
            f"{literal(list(shared))}.all(k, variables.podLabels[?k] == variables.labels[?k]) && "
            f"variables.podLabels.all(k, k in {known} || k.startsWith('{KUEUE}')) && "
            f"variables.podLabels[?'{c.LABEL_EGRESS}'] == optional.of('{Egress.STORE.value}')",
            f"spec.template.metadata.labels: workers have the labels of their Job, {c.LABEL_EGRESS}: "
            f"{Egress.STORE.value}, and no others, by which Services and policies find pods; {WEBHOOKS}",
        ),
        forbid(
            "object.spec.template.?metadata.orValue({}).all(k, k in ['labels', 'annotations', 'creationTimestamp']) && "
            "object.spec.template.?metadata.?annotations.orValue({}).all(k, "
            f"k in {literal([c.ANNOTATION_WORK, _DEFAULT_CONTAINER, *STAY])} || k.startsWith('{KUEUE}'))",
            f"spec.template.metadata.annotations: workers have {c.ANNOTATION_WORK} and no others, which might let "
            f"something inject containers into them; {WEBHOOKS}",
        ),
    ]


def _environment() -> dict[str, dict[str, Object]]:
    """The variables that each container may have, by its name: ``work`` does not know what pod it is in."""
    variables = skeleton_pod()["containers"][0]["env"]
    serve = [each for each in variables if each["name"] != ENV_PHASE_FILE]
    work = [
        {**each, "value": each["value"].replace(SCRATCH_ROOT, ROOM_ROOT, 1)}
        for each in serve
        if each.get("value", "").startswith(SCRATCH_ROOT)
    ]
    return {
        name: {each["name"]: each for each in [*known, GPUS_HIDDEN]}
        for name, known in ((CONTAINER_SERVE, serve), (CONTAINER_WORK, work))
    }


def _containers() -> list[dict[str, str]]:
    start = skeleton_pod()["containers"][0]["command"][:-1]
    commands = {name: [*start, word] for name, word in COMMANDS.items()}
    known = " && ".join(
        f"(k.name != '{name}' || k.?env.orValue([]).all(e, {literal(variables)}[?e.name] == optional.of(e)))"
        for name, variables in _environment().items()
    )
    gpus = f"(k.name == '{CONTAINER_WORK}' && {IS_A_GPU})"
    return [
        forbid(
            f"variables.init == [] && variables.containers.map(k, k.name) == ['{CONTAINER_SERVE}', '{CONTAINER_WORK}']",
            f"spec.template.spec.containers: a worker has the containers {CONTAINER_SERVE} and {CONTAINER_WORK}, and "
            f"no others; {WEBHOOKS}",
        ),
        security_contexts(),
        forbid(
            f"variables.all.all(k, {only('k', filled_members())} && {asks_for(gpus)})",
            "spec.template.spec.containers: containers have no field and ask for no device that the operator does not "
            f"set, such as hooks, ports or envFrom, and {CONTAINER_WORK} alone for GPUs; {WEBHOOKS}",
        ),
        forbid(
            f"variables.all.all(k, k.?command == {literal(commands)}[?k.name] && {known})",
            "spec.template.spec.containers[].command and env: both containers run audiojob_runner with the variables "
            f"that each needs, so that nobody chooses their code; leave them as built, and {WEBHOOKS}",
        ),
        images("all"),
    ]


def work_item() -> Object:
    """The file of a worker's downward API that has what it is told."""
    path = f"metadata.annotations['{c.ANNOTATION_WORK}']"
    return {"fieldRef": {"apiVersion": "v1", "fieldPath": path}, "path": WORK_FILE.rpartition("/")[2]}


def _volumes() -> dict[str, str]:
    skeleton = {volume["name"]: volume for volume in skeleton_pod()["volumes"]}
    sources = literal(skeleton["token"]["projected"]["sources"])
    kinds = (
        f"v.name == 'phase' && v.?downwardAPI.?items == optional.of({literal([work_item()])})",
        f"v.name == 'token' && v.?projected.?sources == optional.of({sources})",
        "v.name == 'scratch' && v.?emptyDir.hasValue() && v.emptyDir.all(k, k == 'sizeLimit')",
        *STORE_AND_MODELS,
    )
    return forbid(
        f"variables.pod.?volumes.orValue([]).all(v, size(v) == 2 && ({' || '.join(f'({kind})' for kind in kinds)}))",
        "spec.template.spec.volumes: workers have scratch space, the file of their work, a short-lived token, the "
        f"store and the models, no others; {WEBHOOKS}",
    )


def _mounts() -> list[dict[str, str]]:
    places = {mount["name"]: mount["mountPath"] for mount in skeleton_pod()["containers"][0]["volumeMounts"]}
    serve = (
        f"!has(m.subPath) && {literal(places)}[?m.name] == optional.of(m.mountPath)",
        f"m.name == 'store' && variables.inBucket && !has(m.subPath) && m.mountPath == '{c.STORE_CREDENTIALS}'",
        (
            "m.name == 'store' && !variables.inBucket && m.?subPath == optional.of(request.namespace) && "
            f"m.mountPath == '{c.STORE_ROOT}/' + request.namespace"
        ),
    )
    work = (
        f"m.name == 'scratch' && m.?subPath == optional.of('{ROOM}') && m.mountPath == '{ROOM_ROOT}'",
        (
            f"m.name == 'models' && !has(m.subPath) && m.mountPath == '{MODELS_ROOT}' && "
            "m.?readOnly == optional.of(true)"
        ),
    )
    return [
        _mounts_of(
            CONTAINER_SERVE,
            serve,
            "has the token, the store's folder of the namespace and all scratch space, at their places, and no models",
        ),
        _mounts_of(
            CONTAINER_WORK,
            work,
            f"sees the folder {ROOM} of the scratch space and the models to read, never token, store or work file",
        ),
    ]


def _mounts_of(container: str, kinds: tuple[str, ...], sees: str) -> dict[str, str]:
    any_kind = " || ".join(f"({kind})" for kind in kinds)
    return forbid(
        f"variables.all.all(k, k.name != '{container}' || k.?volumeMounts.orValue([]).all(m, "
        f"m.all(f, f in ['name', 'mountPath', 'subPath', 'readOnly']) && ({any_kind})))",
        f"spec.template.spec.containers[{container}].volumeMounts: {container} {sees}; leave them as built",
    )


def workers_policy() -> dict[str, Any]:
    """What Jobs of workers the operator may create."""
    return operator_policy(
        WORKERS_NAME,
        {"apiGroups": ["batch"], "operations": ["CREATE", "UPDATE"], "resources": ["jobs"]},
        when=IS_WORKER,
        variables=named(VARIABLES),
        validations=[
            *_metadata(), job_spec(), pod_members(_BY_POOL), identity(), *_containers(), _volumes(), *_mounts(),
        ],
    )  # fmt: skip
