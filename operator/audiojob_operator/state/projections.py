"""What is kept of each object: what decisions read, and no more. Everything else moves with nearly every write."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS, AUDIOWORKERPOOLS
from audiojob_types import constants as c
from audiojob_types.models import ModelBook

_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_AUDIOJOB_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
)
_AUDIOJOB_LABELS = (c.LABEL_USER,)
_AUDIOJOB_ANNOTATIONS = (c.ANNOTATION_ARCHIVED,)
_AUDIOJOB_REST = ("labels", "annotations", "finalizers", "ownerReferences")
METADATA_DIGEST = "digest"
"""Of all metadata that people write, kept or not: its change may be why a status write is taken that was refused."""
POD_GPUS = "gpus"
"""In a pod's spec, in place of its containers: numbers by resource; absent where it has none."""
_JOB_SPEC = ("suspend",)
_POD_SPEC = ("nodeName", "terminationGracePeriodSeconds", "activeDeadlineSeconds")
# What decisions read of a status. All else (counts, addresses, readiness) moves with nearly every write of others.
_JOB_CONDITIONS = ("Complete", "Failed")
_POD_CONDITIONS = ("PodScheduled", "PodReadyToStartContainers", "DisruptionTarget")
_JOB_STATUS = ("startTime",)
_POD_STATUS = ("phase", "reason", "message", "startTime")
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_CONTAINER_STATUS = ("name", "image", "state", "lastState")
_TOLD = "told"  # in place of a phase file
_GPU = re.compile(c.GPU_RESOURCE_PATTERN)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What matters of a node. ``gpus`` it offers by resource."""

    ready: bool
    gpus: Mapping[str, int] = field(default_factory=dict)


def trim_audiojob(obj: Object) -> Object:
    """An AudioJob without the metadata that no decision reads: users write as much of it as etcd takes.

    A tombstone has neither spec nor status, and gets none.
    """
    metadata = obj["metadata"]
    labels = _only(metadata.get("labels") or {}, _AUDIOJOB_LABELS)
    annotations = _only(metadata.get("annotations") or {}, _AUDIOJOB_ANNOTATIONS)
    kept = _only(metadata, _AUDIOJOB_METADATA) | ({"labels": labels} if labels else {})
    if annotations:
        kept["annotations"] = annotations
    if digest := metadata.get(METADATA_DIGEST) or _digest(metadata):
        kept[METADATA_DIGEST] = digest
    return {"metadata": kept, **_only(obj, ("spec", "status"))}


def _digest(metadata: Object) -> str:
    if not (rest := {name: value for name in _AUDIOJOB_REST if (value := metadata.get(name))}):
        return ""
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def trim_job(obj: Object) -> Object:
    """A Job without its template, which holds the phase input of up to 200 KiB, and without its version."""
    status = obj.get("status") or {}
    return {
        "metadata": _metadata(obj),
        "spec": _only(obj.get("spec") or {}, _JOB_SPEC),
        "status": {**_only(status, _JOB_STATUS), "conditions": _conditions(status, _JOB_CONDITIONS)},
    }


def trim_pod(obj: Object) -> Object:
    """A pod reduced to who it is, where it runs, the GPUs that it has and what became of it."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    gpus = _gpus_of(spec)
    return {
        "metadata": _metadata(obj),
        "spec": {**_only(spec, _POD_SPEC), **({POD_GPUS: gpus} if gpus else {})},
        "status": {
            **_only(status, _POD_STATUS),
            "conditions": _conditions(status, _POD_CONDITIONS),
            **{
                kind: [_only(each, _CONTAINER_STATUS) for each in status[kind]]
                for kind in _CONTAINERS
                if status.get(kind)
            },
        },
    }


def _gpus_of(spec: Object) -> dict[str, int]:
    """GPUs of a pod's containers, by resource."""
    found = Counter[str]()
    for each in spec.get("containers") or ():
        found.update(_gpus_in((each.get("resources") or {}).get("limits") or {}))
    return dict(found)


def _gpus_in(resources: Mapping[str, object]) -> dict[str, int]:
    """The GPUs among quantities of resources."""
    counts = ((name, str(count)) for name, count in resources.items() if _GPU.match(name))
    return {name: int(count) for name, count in counts if count.isdecimal() and int(count)}


def project_node(obj: Object) -> NodeRow:
    """Readiness and allocatable GPUs; heartbeats change neither."""
    status = obj.get("status") or {}
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    schedulable = not (obj.get("spec") or {}).get("unschedulable", False)
    gpus = _gpus_in(status.get("allocatable") or {})
    return NodeRow(schedulable and conditions.get("Ready") == "True", gpus)


def read_models(obj: Object) -> ModelBook:
    """The ConfigMap in which the prefetch Job says how far it is."""
    return ModelBook.read(obj.get("data") or {})


def _metadata(obj: Object) -> Object:
    annotations = obj["metadata"].get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name != c.ANNOTATION_PHASE}
    if kept.get(c.ANNOTATION_INPUTS):
        kept[c.ANNOTATION_INPUTS] = _TOLD
    return {**_only(obj["metadata"], _METADATA), "annotations": kept}


def _conditions(status: Object, kinds: Iterable[str]) -> list[Object]:
    return [each for each in status.get("conditions") or () if each["type"] in kinds]


def _only(obj: Object, names: Iterable[str]) -> Object:
    return {name: obj[name] for name in names if name in obj}


def controller(obj: Object) -> Object:
    """The ownerReference of the AudioJob that controls this object; {} if none does."""
    return _controller(obj, AUDIOJOBS.kind)


def pool_of(obj: Object) -> str:
    """The name of the AudioWorkerPool that controls this object; "" if none does."""
    return str(_controller(obj, AUDIOWORKERPOOLS.kind).get("name", ""))


def _controller(obj: Object, kind: str) -> Object:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == kind:
            found: Object = owner
            return found
    return {}


def job_is_finished(job: Object) -> bool:
    """Whether the Job has its condition Complete or Failed."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(entry["type"] in ("Complete", "Failed") and entry["status"] == "True" for entry in conditions)
