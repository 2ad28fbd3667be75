"""Job and pod of a worker to one :class:`Worker`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from audiojob_operator.building.telling import read_order
from audiojob_operator.deciding.children.diagnose import condition_of, diagnose_pod, parse_time
from audiojob_operator.deciding.children.observe import worker_end
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import Diagnosis
from audiojob_operator.records.workers import Worker, WorkerPod
from audiojob_types import constants as c
from audiojob_types.workers.pod import CONTAINER_SERVE, CONTAINER_WORK

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FINAL_PHASES: Final = ("Succeeded", "Failed")
_MAX_TROUBLE: Final = 500
_BOTH: Final = frozenset({CONTAINER_SERVE, CONTAINER_WORK})


def observe_worker(job: Object, pods: Sequence[Object]) -> Worker:
    """What a worker's Job and its pods say; usually one."""
    metadata = job["metadata"]
    annotations = metadata.get("annotations") or {}
    number = annotations.get(c.ANNOTATION_WORKER, "")
    found = [observe_pod(pod) for pod in sorted(pods, key=lambda each: str(each["metadata"]["creationTimestamp"]))]
    newest = ([pod for pod in found if not pod.ended] or found)[-1:]
    return Worker(
        job_name=metadata["name"],
        job_uid=metadata["uid"],
        number=int(number) if number.isdecimal() else 0,
        built_from=annotations.get(c.ANNOTATION_BUILT_FROM, ""),
        created=parse_time(metadata.get("creationTimestamp")) or _EPOCH,
        deleting="deletionTimestamp" in metadata,
        finished=any(_is_true(job, kind) for kind in ("Complete", "Failed")),
        failed=_is_true(job, "Failed"),
        pod=newest[0] if newest else None,
    )


def observe_pod(pod: Object) -> WorkerPod:
    """What a worker's pod says."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    text = (metadata.get("annotations") or {}).get(c.ANNOTATION_WORK, "")
    containers = {each["name"]: each for each in status.get("containerStatuses") or ()}
    states = {name: each.get("state") or {} for name, each in containers.items()}
    served = states.get(CONTAINER_SERVE, {}).get("terminated")
    trouble = _trouble(pod, list(containers.values()))
    end = worker_end(served or {})
    return WorkerPod(
        name=metadata["name"],
        uid=metadata["uid"],
        order_text=text,
        order=read_order(text),
        node_name=(pod.get("spec") or {}).get("nodeName"),
        up=status.get("phase") == "Running" and all("running" in states.get(name, {}) for name in _BOTH),
        ended=status.get("phase") in _FINAL_PHASES or served is not None,
        terminating="deletionTimestamp" in metadata,
        trouble=clip(f"{trouble.message} {trouble.suggestion}", _MAX_TROUBLE) if trouble is not None else "",
        message=end.message if end is not None else "",
        phases=end.phases if end is not None else 0,
    )


def _trouble(pod: Object, containers: Sequence[Object]) -> Diagnosis | None:
    """What keeps one of the containers from its start, where only a person can help."""
    status = pod.get("status") or {}
    views = [{**pod, "status": {**status, "containerStatuses": [each]}} for each in containers]
    found = (diagnose_pod(view) for view in views or [pod])
    return next((each for each in found if each is not None and each.bounded), None)


def _is_true(obj: Object, kind: str) -> bool:
    condition = condition_of(obj, kind)
    return condition is not None and condition.get("status") == "True"
