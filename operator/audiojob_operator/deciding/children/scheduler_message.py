"""The scheduler's message about a pod that it cannot place, made readable. Its numbers stay.

``0/4 nodes are available: 1 Insufficient cpu, 3 node(s) had untolerated taint {dedicated: db}. preemption: …`` becomes
``No node can run the pod (0 of 4): 1 has too little CPU left, 3 have a taint that the pod does not tolerate (…).``
What is not recognised is left as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from audiojob_types.constants import GPU_RESOURCE, GPU_RESOURCE_PATTERN

_WHOLE: Final = re.compile(r"^0/(?P<nodes>\d+) nodes are available: (?P<reasons>.*)$", re.DOTALL)
_PART: Final = re.compile(r"^(?P<count>\d+) (?P<what>.+)$")
# A list of taints may hold commas; every part begins with the number of its nodes.
_BETWEEN: Final = re.compile(r", (?=\d+ )")
_AFTERMATH: Final = re.compile(r"[.,] (no new claims to deallocate|preemption: |preemption is not)", re.IGNORECASE)
_INSUFFICIENT: Final = "Insufficient "
_GPU: Final = re.compile(GPU_RESOURCE_PATTERN)
_NAMES: Final = {
    "ephemeral-storage": "disk left",
    "memory": "memory left",
    "cpu": "CPU left",
}
_PHRASES: Final = (
    (re.compile(r"^Too many pods$"), "runs as many pods as it may"),
    (re.compile(r"^node\(s\) had (?:un|in)tolerated taint\(?s?\)? ?\{(?P<detail>[^}]*)\}$"),
     "has a taint that the pod does not tolerate ({detail})"),
    (re.compile(r"^node\(s\) didn't match Pod's node affinity/selector$"),
     "does not match the nodeSelector of the pipeline's template"),
    (re.compile(r"^node\(s\) (had volume node affinity conflict|didn't match PersistentVolume's node affinity)$"),
     "cannot reach the volume of the store"),
    (re.compile(r"^node\(s\) were unschedulable$"), "is cordoned"),
    (re.compile(r"^node\(s\) exceed max volume count$"), "has as many volumes attached as it may"),
    (re.compile(r"^node\(s\) didn't find available persistent volumes to bind$"), "has no free volume for the claim"),
    (re.compile(r"^node\(s\) did not have enough free storage$"), "has too little storage left for the claim"),
    (re.compile(r"^node\(s\) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use "
                r"by another pod$"),
     "holds the volume of the store for another pod (ReadWriteOncePod)"),
    (re.compile(r"^node\(s\) unavailable due to one or more pvc\(s\) bound to non-existent pv\(s\)$"),
     "would need the volume of the store, which does not exist any more"),
)  # fmt: skip
_PLURALS: Final = (
    ("has ", "have "),
    ("does ", "do "),
    ("is ", "are "),
    ("runs ", "run "),
    ("holds ", "hold "),
    ("looks ", "look "),
)
# Sentences about the pod itself, which stand for all nodes.
_ABOUT_POD: Final = {
    "pod has unbound immediate PersistentVolumeClaims": (
        "The claim is not bound to a volume yet; kubectl get pvc shows which, kubectl describe pvc why."
    ),
}


@dataclass(frozen=True, slots=True)
class Shortage:
    """What keeps a pod from all nodes, in numbers of nodes. One that lacks several resources counts for each of them.

    ``lacking``: by resource; "pods" for those that run as many pods as they may. ``barred``: for any other reason.
    """

    nodes: int
    lacking: tuple[tuple[str, int], ...] = ()
    barred: int = 0


@lru_cache(maxsize=1_024)  # pods wait for the same reason, and are looked at again and again
def shortage(message: str) -> Shortage | None:
    """The scheduler's message in numbers; None if it is in other words than its own."""
    if (found := _split(message)) is None:
        return None
    nodes, reasons = found
    if _about_pod(reasons) is not None:
        return Shortage(nodes, barred=nodes)
    lacking, barred = [], 0
    for part in _BETWEEN.split(reasons):
        if (match := _PART.match(part)) is None:
            return None
        if resource := _resource(match["what"]):
            lacking.append((resource, int(match["count"])))
        else:
            barred += int(match["count"])
    return Shortage(nodes, tuple(lacking), barred)


def _resource(what: str) -> str:
    if what == "Too many pods":
        return "pods"
    return what.removeprefix(_INSUFFICIENT) if what.startswith(_INSUFFICIENT) else ""


def readable(message: str) -> str:
    """The scheduler's message for people."""
    if (found := _split(message)) is None:
        return f"No node can run the pod: {message}"
    nodes, reasons = found
    if (about_pod := _about_pod(reasons)) is not None:
        return about_pod
    parts = [_part(part) for part in _BETWEEN.split(reasons)]
    whom = "The only node cannot run the pod" if nodes == 1 else f"No node can run the pod (0 of {nodes})"
    return f"{whom}: {', '.join(parts)}."


def _split(message: str) -> tuple[int, str] | None:
    """How many nodes there are, and why none of them will do."""
    match = _WHOLE.match(" ".join(message.split()))
    if match is None:
        return None
    return int(match["nodes"]), _AFTERMATH.split(match["reasons"], maxsplit=1)[0].rstrip(". ")


def _about_pod(reasons: str) -> str | None:
    return next((said for words, said in _ABOUT_POD.items() if reasons.startswith(words)), None)


def _part(part: str) -> str:
    match = _PART.match(part)
    if match is None:
        return part
    count, phrase = int(match["count"]), _phrase(match["what"])
    if phrase is None:
        return part
    if count > 1:
        one, many = next((pair for pair in _PLURALS if phrase.startswith(pair[0])), ("", ""))
        phrase = many + phrase.removeprefix(one)
    return f"{count} {phrase}"


def _phrase(what: str) -> str | None:
    if what.startswith(_INSUFFICIENT):
        resource = what.removeprefix(_INSUFFICIENT)
        if _GPU.match(resource):
            return f"has too few GPUs left{f' ({resource})' if resource != GPU_RESOURCE else ''}"
        return f"has too little {_NAMES.get(resource, resource)}"
    for pattern, phrase in _PHRASES:
        if (match := pattern.match(what)) is not None:
            detail = match.groupdict().get("detail", "")
            return phrase.format(detail=detail.strip().rstrip(":"))
    return None
