"""What a change of a Job or pod (a trimmed one) is to its AudioJob: how soon that must be reconciled for it."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from audiojob_operator.deciding.children.diagnose import diagnose_pod
from audiojob_operator.deciding.children.observe import waits_for_inputs
from audiojob_operator.records.objects import Object

_CONTAINERS: Final = ("initContainerStatuses", "containerStatuses")
_STATES: Final = ("state", "lastState")


class News(Enum):
    """The most that a change tells."""

    END = auto()
    """Work has ended, or is about to: what comes next waits for a decision."""
    TROUBLE = auto()
    """Why it does not start is another reason now, or none any more: status says so."""
    PLACED = auto()
    """A node has it, or it waits for its inputs: the next phase's pod may begin, or this one be told."""
    START = auto()
    """It comes nearer to its start, or works: nothing but the time of the next look depends on it."""


def news_of_job(old: Object | None, new: Object | None, *, pod_ended: bool) -> News:
    """``pod_ended``: the pod's end, which tells what became of it, is known. That the Job is Complete adds nothing."""
    ends = _ends_told(old, new)
    if ends and not (pod_ended and ends == {"Complete"}):
        return News.END
    return News.TROUBLE if _is_suspended(old) != _is_suspended(new) else News.START


def news_of_pod(old: Object | None, new: Object | None) -> News:
    """What the change of a pod tells."""
    if _ends_told(old, new):
        return News.END
    if _trouble(old) != _trouble(new):
        return News.TROUBLE
    assert new is not None, "that it is gone was told"
    appeared = old is None and waits_for_inputs(new)
    placed = bool(new["spec"].get("nodeName")) and not (old is not None and old["spec"].get("nodeName"))
    return News.PLACED if appeared or placed else News.START


def _ends_told(old: Object | None, new: Object | None) -> frozenset[str]:
    if new is None:
        return frozenset({"gone"})
    return _ends(new) - (_ends(old) if old is not None else frozenset())


def _ends(obj: Object) -> frozenset[str]:
    status = obj["status"]
    conditions = {entry["type"] for entry in status.get("conditions") or () if entry["status"] == "True"}
    found = conditions & {"Complete", "Failed"}
    found |= {status.get("phase")} & {"Succeeded", "Failed"}
    found |= {"deletionTimestamp"} & obj["metadata"].keys()
    for kind in _CONTAINERS:
        for container in status.get(kind) or ():
            found |= {f"{container['name']} {name}" for name in _STATES if "terminated" in (container.get(name) or {})}
    return frozenset(found)


def _is_suspended(job: Object | None) -> bool:
    return job is not None and bool(job["spec"].get("suspend"))


def _trouble(pod: Object | None) -> str:
    """Why the pod does not start, if that is worth telling."""
    found = diagnose_pod(pod) if pod is not None else None
    return str(found.reason) if found is not None and found.shown else ""
