"""The Kubernetes Job of one worker of a pool: a pod of two containers, one that has the store and one that works.

Which folders a phase reads is not known when the pod is made, so ``serve`` sees all of its namespace in the store; it
decodes nothing. ``work`` decodes, and sees a part of the scratch volume and the models alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Final

from audiojob_operator.building.job import DEFAULT_CONTAINER, LOG_ROOM_BYTES, STAY, only_on, patience
from audiojob_operator.building.names import digest, label_value
from audiojob_operator.building.quantity import quantity_bytes
from audiojob_operator.building.template import job_skeleton
from audiojob_operator.building.volumes import MODELS_MOUNT, MODELS_VOLUME, store_volume
from audiojob_operator.records.objects import Object
from audiojob_operator.records.settings import DecideSettings
from audiojob_operator.records.workers import PoolFacts
from audiojob_types import constants as c
from audiojob_types.constants import STORE_ROOT
from audiojob_types.contract import ENV_PHASE_FILE, STORE_CREDENTIALS, Device, S3Store
from audiojob_types.descriptor import Egress, ImageFamily
from audiojob_types.resources.podtemplate import PodTemplate
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WORK_FILE, WorkTerms
from audiojob_types.workers.pod import COMMANDS, CONTAINER_SERVE, CONTAINER_WORK, ROOM, ROOM_ROOT
from audiojob_types.workers.pool import AudioWorkerPool

_POOL_CHARACTERS: Final = 30
# What ``serve`` needs beside the pool's resources; the scratch volume counts for ``work``.
_SERVE: Final = {
    "requests": {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "256Mi"},
    "limits": {"memory": "512Mi", "ephemeral-storage": "256Mi"},
}
# Images by what they can run: those that hold the code of the image before them too.
_HOLD: Final = {
    ImageFamily.RUNNER: frozenset({ImageFamily.RUNNER}),
    ImageFamily.RUNNER_TORCH: frozenset({ImageFamily.RUNNER, ImageFamily.RUNNER_TORCH}),
    ImageFamily.RUNNER_MUSIC: frozenset({ImageFamily.RUNNER, ImageFamily.RUNNER_MUSIC}),
}


def pool_facts(pool: AudioWorkerPool, settings: DecideSettings) -> PoolFacts:
    """A pool, and what workers of it are built from now."""
    if image_family(pool.spec.tasks) is None:
        tasks = ", ".join(f"{task.value} ({task.descriptor.image.value})" for task in pool.spec.tasks)
        return PoolFacts(
            pool,
            "",
            f"No image holds the code of all tasks: {tasks}. Make a pool of the tasks of each image: a worker has one.",
        )
    # Terms that are told anew when they change: the workers stay.
    told_anew = {"idleSeconds": 0, "maxPhases": 0, "maxAgeSeconds": 0}
    terms = work_terms(pool, stays=False, drain=False).to_wire() | told_anew
    job = _job(pool, 0, settings, json.dumps(terms, sort_keys=True))
    gpus = gpu_resource(pool, settings) if pool.runs_on is Device.GPU else ""
    return PoolFacts(pool, digest(json.dumps(job, sort_keys=True), characters=16), gpu_resource=gpus)


def image_family(tasks: Iterable[Task]) -> ImageFamily | None:
    """The smallest image that can run all of the tasks; None if there is none."""
    needed = {task.descriptor.image for task in tasks}
    return next((family for family, held in _HOLD.items() if needed <= held), None)


def worker_name(pool: AudioWorkerPool, number: int) -> str:
    """The Job of a worker. Its number is given once, so that no other is ever called so."""
    cut = pool.metadata.name[:_POOL_CHARACTERS].rstrip("-.")
    return f"{cut}-w-{digest(pool.metadata.uid, number)}"


def worker_labels(pool: str) -> dict[str, str]:
    """Labels of a worker's Job and pod."""
    return {
        c.LABEL_NAME: c.APP_NAME,
        c.LABEL_PART_OF: c.APP_NAME,
        c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR,
        c.LABEL_POOL: label_value(pool),
    }


def work_terms(pool: AudioWorkerPool, *, stays: bool, drain: bool) -> WorkTerms:
    """What a worker is told for its whole life. ``stays``: also without work. ``drain``: it ends once it has none."""
    spec = pool.spec
    return WorkTerms(
        pool=pool.metadata.name,
        tasks=spec.tasks,
        device=pool.runs_on,
        preload=spec.preload.models,
        drain=drain,
        max_phases=spec.max_phases,
        max_age_seconds=spec.max_age_seconds,
        idle_seconds=None if stays else spec.idle_seconds,
    )


def order_text(terms: WorkTerms, told: Sequence[Object] = ()) -> str:
    """The annotation of a worker's pod. ``told`` are PhaseInputs as JSON: as they stand there, or to be added."""
    # Absent is not for ever here, as it is everywhere else.
    wire = terms.to_wire() | {"idleSeconds": terms.idle_seconds} | ({"told": list(told)} if told else {})
    return json.dumps(wire, separators=(",", ":"), ensure_ascii=False)


def build_worker(facts: PoolFacts, number: int, settings: DecideSettings, order: str) -> Object:
    """The Job to create, of a pool without a problem. ``order``: what its pod is told from its start."""
    job = _job(facts.pool, number, settings, order)
    job["metadata"]["annotations"][c.ANNOTATION_BUILT_FROM] = facts.built_from
    return job


def _job(pool: AudioWorkerPool, number: int, settings: DecideSettings, order: str) -> Object:
    job = job_skeleton()
    labels = worker_labels(pool.metadata.name)
    job["metadata"] = {
        "name": worker_name(pool, number),
        "namespace": pool.metadata.namespace,
        "labels": labels,
        "annotations": _annotations(pool, number, settings),
        "ownerReferences": [_owner(pool)],
    }
    if pool.spec.kueue_local_queue is not None:
        job["metadata"]["labels"] = labels | {c.KUEUE_QUEUE_LABEL: pool.spec.kueue_local_queue}
        job["spec"]["suspend"] = True
    template = job["spec"]["template"]
    stay = STAY if settings.disruption.protect_running else {}
    template["metadata"] = {
        "labels": labels | {c.LABEL_EGRESS: Egress.STORE.value},
        "annotations": {c.ANNOTATION_WORK: order, DEFAULT_CONTAINER: CONTAINER_WORK, **stay},
    }
    _fill_pod(template["spec"], pool, settings)
    return job


def _annotations(pool: AudioWorkerPool, number: int, settings: DecideSettings) -> dict[str, str]:
    found = {
        c.ANNOTATION_WORKER: str(number),
        c.ANNOTATION_DEVICE: pool.runs_on.value,
        c.ANNOTATION_MEMORY: str(quantity_bytes(pool.spec.resources.memory)),
    }
    if pool.runs_on is Device.GPU:
        found[c.ANNOTATION_GPUS] = str(pool.spec.gpus)
        found[c.ANNOTATION_GPU_RESOURCE] = gpu_resource(pool, settings)
    return found


def gpu_resource(pool: AudioWorkerPool, settings: DecideSettings) -> str:
    """The resource of the workers' GPUs."""
    return (pool.spec.gpu.resource_name if pool.spec.gpu is not None else None) or settings.gpu.resource_name


def _owner(pool: AudioWorkerPool) -> Object:
    """Deleting the pool deletes its workers; it never waits for them."""
    return {
        "apiVersion": c.API_VERSION,
        "kind": "AudioWorkerPool",
        "name": pool.metadata.name,
        "uid": pool.metadata.uid,
        "controller": True,
    }


def _fill_pod(pod: Object, pool: AudioWorkerPool, settings: DecideSettings) -> None:
    family = image_family(pool.spec.tasks)
    assert family is not None, "a pool whose tasks no image can run has no workers"
    pod["terminationGracePeriodSeconds"] = settings.disruption.grace_seconds
    _add_volumes(pod["volumes"], pool, settings)
    serve = pod["containers"][0]
    serve["image"] = settings.images.by_family[family]
    serve["imagePullPolicy"] = settings.pull_policy
    pod["containers"] = [_serve(serve, pool, settings), _work(serve, pool, settings)]
    wire = (pool.spec.template or PodTemplate()).to_wire()
    pod["tolerations"] = [*patience(settings.disruption), *wire.pop("tolerations", [])]
    pod.update({key: value for key, value in wire.items() if value})
    if architectures := settings.architectures.get(family):
        pod["affinity"] = only_on(architectures)


def _add_volumes(volumes: list[Object], pool: AudioWorkerPool, settings: DecideSettings) -> None:
    for volume in volumes:
        if volume["name"] == "phase":
            path = f"metadata.annotations['{c.ANNOTATION_WORK}']"
            item = {"fieldRef": {"apiVersion": "v1", "fieldPath": path}, "path": WORK_FILE.rpartition("/")[2]}
            volume["downwardAPI"]["items"] = [item]
    volumes.append({"name": "scratch", "emptyDir": {"sizeLimit": pool.spec.resources.scratch}})
    volumes.append(store_volume(settings))
    if _has_models(pool, settings):
        volumes.append(deepcopy(MODELS_VOLUME))


def _has_models(pool: AudioWorkerPool, settings: DecideSettings) -> bool:
    return settings.models_claim and any(task.descriptor.uses_models for task in pool.spec.tasks)


def _serve(like: Object, pool: AudioWorkerPool, settings: DecideSettings) -> Object:
    container = _container(like, CONTAINER_SERVE)
    container["env"] = [each for each in container["env"] if each["name"] != ENV_PHASE_FILE]
    container["env"].append(_NO_DEVICES)
    container["resources"] = deepcopy(_SERVE)
    if isinstance(settings.store, S3Store):
        store: Object = {"name": "store", "mountPath": STORE_CREDENTIALS, "readOnly": True}
    else:
        namespace = pool.metadata.namespace
        store = {"name": "store", "mountPath": f"{STORE_ROOT}/{namespace}", "subPath": namespace}
    container["volumeMounts"].append(store)
    return container


def _work(like: Object, pool: AudioWorkerPool, settings: DecideSettings) -> Object:
    container = _container(like, CONTAINER_WORK)
    container["env"] = [
        {"name": "HOME", "value": ROOM_ROOT},
        {"name": "TMPDIR", "value": ROOM_ROOT},
        {"name": "XDG_CACHE_HOME", "value": f"{ROOM_ROOT}/.cache"},
        {"name": "TORCH_HOME", "value": f"{ROOM_ROOT}/.cache/torch"},
        {"name": "NUMBA_CACHE_DIR", "value": f"{ROOM_ROOT}/.cache/numba"},
    ]
    container["volumeMounts"] = [{"name": "scratch", "mountPath": ROOM_ROOT, "subPath": ROOM}]
    if _has_models(pool, settings):
        container["volumeMounts"].append(deepcopy(MODELS_MOUNT))
    resources = pool.spec.resources
    storage = quantity_bytes(resources.scratch)
    limits = {"memory": resources.memory, "ephemeral-storage": str(storage + LOG_ROOM_BYTES)}
    if resources.cpu_limit is not None:
        limits["cpu"] = resources.cpu_limit
    if pool.runs_on is Device.GPU:
        limits[gpu_resource(pool, settings)] = str(pool.spec.gpus)
    else:
        container["env"].append(_NO_DEVICES)
    requests = {"cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": str(storage)}
    container["resources"] = {"requests": requests, "limits": limits}
    return container


# Images with CUDA ask for every GPU of the node by default, whether the pod was given one or not.
_NO_DEVICES: Final[Object] = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}


def _container(like: Object, name: str) -> Object:
    container = deepcopy(like)
    container["name"] = name
    container["command"] = [*container["command"][:-1], COMMANDS[name]]
    return container
