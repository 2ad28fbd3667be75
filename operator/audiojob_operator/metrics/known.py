"""Label values that are known beforehand. Their counters begin at 0: `increase` would not see the first event of one
that appears with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS, EVENTS, JOBS
from audiojob_operator.deciding.transitions import FALLBACK_REASONS, OTHER, AttemptClass
from audiojob_types.contract import COOL_DOWN_REASONS, Device
from audiojob_types.reasons import ATTEMPT_FAILURES, JOB_FAILURES, Reason
from audiojob_types.resources.job import State
from audiojob_types.tasks import Task

FALLBACKS: Final = [(reason,) for reason in sorted(FALLBACK_REASONS)]
REFUSED_WRITES: Final = [(AUDIOJOBS.plural,)]
RECONCILES: Final = [(result,) for result in ("ok", "stale", "refused", "transport", "unreadable", "failed", "fault")]
WRITES: Final = [
    (verb, resource.plural, result)
    for verb, resource in (
        ("create", CONTROLLERREVISIONS),
        ("create", JOBS),
        ("create", EVENTS),
        ("patch", AUDIOJOBS),
        ("delete", JOBS),
        ("delete", AUDIOJOBS),
    )
    for result in ("ok", "429", "transport")
]
FINISHED: Final = [
    (State.SUCCEEDED, Reason.COMPLETED),
    (State.CANCELLED, Reason.CANCELLED),
    *((State.FAILED, reason) for reason in (*JOB_FAILURES, *ATTEMPT_FAILURES, Reason.CREATE_REFUSED, OTHER)),
]

_OF_CLASS: Final[dict[AttemptClass, tuple[str, ...]]] = {
    AttemptClass.SUCCEEDED: ("",),
    AttemptClass.RETRY: (*ATTEMPT_FAILURES, OTHER),
    AttemptClass.PERMANENT: (*JOB_FAILURES, *ATTEMPT_FAILURES, OTHER),
    AttemptClass.EXHAUSTED: (*ATTEMPT_FAILURES, OTHER),
    AttemptClass.COOL_DOWN: (*sorted(COOL_DOWN_REASONS), OTHER),
    AttemptClass.STOPPED: (Reason.CANCELLED, Reason.SUSPENDED, Reason.HELD, Reason.DEADLINE_EXCEEDED, OTHER),
    AttemptClass.DEVICE: (Reason.GPU_FAILED_BEFORE, Reason.GPU_ERROR, Reason.GPU_OUT_OF_MEMORY, OTHER),
    AttemptClass.MEMORY: (Reason.OUT_OF_MEMORY, OTHER),
    AttemptClass.DISRUPTED: (Reason.DISRUPTED, Reason.POD_LOST, Reason.CHILD_LOST, Reason.EVICTED_BY_KUEUE, OTHER),
}
ATTEMPTS: Final = [(kind, reason) for kind, reasons in _OF_CLASS.items() for reason in reasons]

PLACES: Final = [
    (task.value, device) for task in Task for device in Device if device is Device.CPU or task.descriptor.uses_gpu
]
"""What an attempt does, and on what."""
BYTES: Final = [(task.value, direction) for task in Task for direction in ("read", "written")]


def pair(kind: str, reason: str, among: Collection[tuple[str, str]]) -> tuple[str, str]:
    """The pair, with `Other` for a reason that none is known of: there are far more pairs than ever come."""
    return (kind, reason) if (kind, reason) in among else (kind, OTHER)
