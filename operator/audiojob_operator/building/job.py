"""The Kubernetes Job of one attempt."""

from __future__ import annotations

import json
from typing import Final

from audiojob_operator.building.names import child_labels, child_name, digest
from audiojob_operator.building.phase_input import phase_file
from audiojob_operator.building.program import split_pod
from audiojob_operator.building.quantity import quantity_bytes
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.building.template import add_inputs_file, job_skeleton
from audiojob_operator.building.volumes import volumes_and_mounts
from audiojob_operator.records.objects import Object
from audiojob_operator.records.reuse import donor_to_text
from audiojob_operator.records.settings import Disruption
from audiojob_types import constants as c
from audiojob_types.contract import Device
from audiojob_types.resources.podtemplate import PodTemplate

DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
# Karpenter moves pods to save nodes, cluster-autoscaler removes nodes with little on them: an attempt would begin anew.
STAY: Final = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
LOG_ROOM_BYTES: Final = 256 * 1024**2  # container logs count as ephemeral storage too


def build_job(request: AttemptRequest) -> Object:
    """The Job to create. Raises ``InvalidParameters`` or ``InvalidSpecError`` for what its author must correct."""
    job = job_skeleton()
    metadata = request.job.metadata
    labels = child_labels(
        job=metadata.name,
        uid=metadata.uid,
        phase=request.phase.name,
        attempt=request.attempt,
        queue=request.job.spec.queue_name,
        pipeline=request.revision.pipeline,
    )
    job["metadata"] = {
        "name": child_name(metadata.name, metadata.uid, request.phase.name, request.attempt),
        "namespace": metadata.namespace,
        "labels": labels,
        "annotations": _annotations(request),
        "ownerReferences": [_owner(request)],
    }
    if request.kueue_queue is not None:
        # Kueue lets it go when there is room; nobody else touches suspend.
        job["metadata"]["labels"] = labels | {c.KUEUE_QUEUE_LABEL: request.kueue_queue}
        job["spec"]["suspend"] = True
    template = job["spec"]["template"]
    egress = {c.LABEL_EGRESS: request.phase.task.descriptor.egress.value}
    stay = STAY if request.settings.disruption.protect_running else {}
    template["metadata"] = {"labels": labels | egress, "annotations": {c.ANNOTATION_PHASE: phase_file(request), **stay}}
    if request.wait_until is not None:
        template["metadata"]["annotations"][c.ANNOTATION_INPUTS] = ""
        add_inputs_file(template["spec"])
    _fill_pod(template["spec"], request)
    _fill_container(template["spec"]["containers"][0], request)
    if request.phase.task.descriptor.runs_program:
        split_pod(template["spec"], request)
        # What `kubectl logs` shows when no container is named.
        template["metadata"]["annotations"][DEFAULT_CONTAINER] = c.CONTAINER_PROGRAM
    return job


def mounts_digest(request: AttemptRequest) -> str:
    """Equal for attempts whose pods see the same files."""
    return digest(json.dumps(volumes_and_mounts(request)), characters=16)


def _annotations(request: AttemptRequest) -> dict[str, str]:
    """What an operator must know of an attempt whose status write was lost."""
    found = {
        c.ANNOTATION_REVISION: request.revision.name,
        c.ANNOTATION_DEVICE: request.device.value,
        c.ANNOTATION_DEVICE_REASON: request.device_reason,
        c.ANNOTATION_MEMORY: str(request.memory_bytes),
    }
    if request.device is Device.GPU:
        found[c.ANNOTATION_GPUS] = str(request.phase.gpus)
        found[c.ANNOTATION_GPU_RESOURCE] = request.settings.gpu.resource_of(request.phase)
    if request.reuse_key is not None:
        found[c.ANNOTATION_REUSE_KEY] = request.reuse_key
    if request.donor is not None:
        found[c.ANNOTATION_DONOR] = donor_to_text(request.donor)
    if request.host is not None:
        found[c.ANNOTATION_HOST] = request.host
    if request.review_inputs:
        found[c.ANNOTATION_REVIEW_INPUTS] = ",".join(request.review_inputs)
    if request.wait_until is not None:
        found[c.ANNOTATION_EARLY] = mounts_digest(request)
    if request.phase.exit_codes is not None:
        found[c.ANNOTATION_EXIT_CODES] = request.phase.exit_codes
    return found


def _owner(request: AttemptRequest) -> Object:
    """Deleting the AudioJob deletes the Job; it never waits for it."""
    return {
        "apiVersion": c.API_VERSION,
        "kind": "AudioJob",
        "name": request.job.metadata.name,
        "uid": request.uid,
        "controller": True,
    }


def patience(disruption: Disruption) -> list[Object]:
    """How long a pod stays on a node that does not answer."""
    seconds = disruption.node_lost_seconds
    toleration = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
    return [{"key": f"node.kubernetes.io/{trouble}", **toleration} for trouble in ("not-ready", "unreachable")]


def _fill_pod(pod: Object, request: AttemptRequest) -> None:
    pod["terminationGracePeriodSeconds"] = request.settings.disruption.grace_seconds
    if request.limit_seconds is not None and request.wait_until is None:
        pod["activeDeadlineSeconds"] = request.limit_seconds
    volumes, mounts = volumes_and_mounts(request)
    pod["volumes"].extend(volumes)
    pod["containers"][0]["volumeMounts"].extend(mounts)
    templates = request.revision.spec.templates
    template = (templates.gpu if request.device is Device.GPU else templates.cpu) or PodTemplate()
    wire = template.to_wire()
    pod["tolerations"] = [*patience(request.settings.disruption), *wire.pop("tolerations", [])]
    pod.update({key: value for key, value in wire.items() if value})
    if architectures := request.settings.architectures.get(request.phase.task.descriptor.image):
        pod["affinity"] = only_on(architectures)


def only_on(architectures: tuple[str, ...]) -> Object:
    """Nodes that can run the image."""
    needed = {"key": "kubernetes.io/arch", "operator": "In", "values": list(architectures)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [needed]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _fill_container(container: Object, request: AttemptRequest) -> None:
    resources = request.phase.resources
    storage = quantity_bytes(resources.scratch)
    memory = _memory(request)
    requests = {"cpu": resources.cpu, "memory": memory, "ephemeral-storage": str(storage)}
    limits = {"memory": memory, "ephemeral-storage": str(storage + LOG_ROOM_BYTES)}
    if resources.cpu_limit is not None:
        limits["cpu"] = resources.cpu_limit
    if request.device is Device.GPU:
        limits[request.settings.gpu.resource_of(request.phase)] = str(request.phase.gpus)
    else:
        # Images with CUDA ask for every GPU of the node by default, whether the pod was given one or not.
        container["env"].append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    container["image"] = request.revision.images.for_task(request.phase.task)
    container["imagePullPolicy"] = request.settings.pull_policy
    container["resources"] = {"requests": requests, "limits": limits}


def _memory(request: AttemptRequest) -> str:
    """The pipeline's own words where nothing was added, as people know them from there."""
    stated = request.phase.resources.memory
    return stated if quantity_bytes(stated) == request.memory_bytes else str(request.memory_bytes)
