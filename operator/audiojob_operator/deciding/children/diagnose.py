"""Why a pod has not started, from its own status: reason, a sentence, and what a person can do."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from audiojob_operator.deciding.children.scheduler_message import readable
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import Diagnosis
from audiojob_types import constants as c
from audiojob_types.reasons import EXPLANATIONS, Reason

IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CONFIG_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CLAIM_TROUBLE: Final = re.compile(
    r'persistentvolumeclaim "?(?P<name>[-.a-z0-9]+)"? '
    r'(?P<trouble>not found|is being deleted|bound to non-existent persistentvolume "?(?P<volume>[-.a-z0-9]+)"?)'
)
_MISSING_OBJECT: Final = re.compile(r'(?P<kind>secret|configmap) "(?P<name>[-.a-z0-9]+)" not found')
_MAX_DETAIL: Final = 700  # a status message holds 1,024 characters, and a sentence stands before the detail


def parse_time(text: str | None) -> datetime | None:
    """A metav1.Time."""
    return datetime.fromisoformat(text) if text else None


def condition_of(obj: Object, kind: str) -> Object | None:
    """A condition of an object's status by type."""
    for condition in obj.get("status", {}).get("conditions") or ():
        if condition.get("type") == kind:
            found: Object = condition
            return found
    return None


def container_status(pod: Object) -> Object:
    """The status of the container that shows how the attempt stands: the first that has not ended well.

    That is the pod's only one, but for Container phases. ``{}`` before it has one.
    """
    status = pod.get("status", {})
    for initial in status.get("initContainerStatuses") or ():
        state = initial.get("state", {})
        if initial.get("name") == c.CONTAINER_REPORT:
            # It runs beside the others, and is of interest only while it keeps them from starting.
            if "waiting" in state and not initial.get("lastState"):
                return dict(initial)
        elif state.get("terminated", {}).get("exitCode") != 0:
            return dict(initial)
    statuses: list[Object] = status.get("containerStatuses") or []
    return statuses[0] if statuses else {}


def diagnose_pod(pod: Object) -> Diagnosis | None:
    """Why the pod's container has not started; None if it has, or if there is nothing to say yet."""
    status = pod.get("status", {})
    state = container_status(pod).get("state", {})
    if status.get("phase", "Pending") != "Pending" or "running" in state or "terminated" in state:
        return None
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return _not_scheduled(scheduled)
    return _not_created(pod, state.get("waiting", {}))


def _not_scheduled(condition: Object) -> Diagnosis:
    message = condition.get("message") or "the scheduler has not found a node"
    trouble = _CLAIM_TROUBLE.search(message)
    if trouble is not None:
        return _claim_trouble(trouble)
    return _diagnosis(Reason.UNSCHEDULABLE, _cut(readable(message)), bounded=False)


def _claim_trouble(found: re.Match[str]) -> Diagnosis:
    """A claim that nothing but a person brings back."""
    name, volume = found["name"], found["volume"]
    again = (
        f"Create the PersistentVolumeClaim {name} in the job's namespace "
        "(the chart does so for each of its jobNamespaces)"
    )
    if volume:
        what = f"The volume {volume} of the claim {name} does not exist any more, and what it held is lost with it."
        way_out = f"Put the PersistentVolume {volume} back, or delete the claim. {again}."
    elif found["trouble"] == "not found":
        what, way_out = f"The claim {name} does not exist in the job's namespace.", f"{again}."
    else:
        what = f"The claim {name} is being deleted; no new pod may use it."
        way_out = f"{again} once it is gone, and restore what it held."
    return _diagnosis(Reason.VOLUME_MISSING, what, way_out, bounded=True)


def _not_created(pod: Object, waiting: Object) -> Diagnosis | None:
    reason, detail = waiting.get("reason", ""), waiting.get("message", "")
    if reason in IMAGE_REASONS:
        image = container_status(pod).get("image", "of the phase")
        return _diagnosis(
            Reason.IMAGE_PULL_FAILED, f"The image {image} cannot be pulled ({reason}): {_cut(detail)}", bounded=True
        )
    if reason in _CONFIG_REASONS:
        missing = _MISSING_OBJECT.search(detail)
        if missing:
            what = f"{missing['kind'].capitalize()} {missing['name']}"
            return _diagnosis(Reason.VOLUME_MISSING, f"The {what} does not exist in the job's namespace.", bounded=True)
        return _diagnosis(
            Reason.POD_STARTING, f"The container cannot be created ({reason}): {_cut(detail)}", bounded=True
        )
    ready = condition_of(pod, "PodReadyToStartContainers")
    if ready is not None and ready.get("status") == "False":
        # Volumes are mounted before the sandbox is made; what is missing there is reported in events only.
        return _diagnosis(
            Reason.POD_STARTING,
            "The pod's volumes or network are not ready; kubectl describe pod "
            f"{pod['metadata']['name']} shows what its node says.",
            "Check that the claim or Secret audiojob-store exists in the job's namespace, and the pod's events.",
            shown=False,
            bounded=True,
        )
    return None


def _diagnosis(reason: Reason, message: str, suggestion: str = "", *, bounded: bool, shown: bool = True) -> Diagnosis:
    return Diagnosis(
        reason=reason,
        message=message,
        suggestion=suggestion or EXPLANATIONS[reason].suggestion,
        shown=shown,
        bounded=bounded,
    )


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return clip(text, _MAX_DETAIL)
