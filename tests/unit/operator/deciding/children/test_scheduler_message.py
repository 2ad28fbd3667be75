"""The scheduler's messages, made readable. The left sides are what kube-scheduler 1.31 to 1.34 writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_operator.deciding.children.scheduler_message import readable

AFTERMATH = (
    " no new claims to deallocate, preemption: 0/4 nodes are available: "
    "1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            "0/4 nodes are available: 1 Insufficient cpu, 3 Insufficient nvidia.com/gpu." + AFTERMATH,
            "No node can run the pod (0 of 4): 1 has too little CPU left, 3 have too few GPUs left.",
            id="resources",
        ),
        pytest.param(
            "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption "
            "victims found for incoming pod.",
            "The only node cannot run the pod: 1 has too little memory left.",
            id="a single node",
        ),
        pytest.param(
            "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "2 node(s) didn't match Pod's node affinity/selector.",
            "No node can run the pod (0 of 3): 1 has a taint that the pod does not tolerate "
            "(node-role.kubernetes.io/control-plane), 2 do not match the nodeSelector of the pipeline's template.",
            id="taints and selectors",
        ),
        pytest.param(
            "0/2 nodes are available: 1 node(s) were unschedulable, 1 Too many pods.",
            "No node can run the pod (0 of 2): 1 is cordoned, 1 runs as many pods as it may.",
            id="cordoned and full",
        ),
        pytest.param(
            "0/2 nodes are available: 2 node(s) had volume node affinity conflict.",
            "No node can run the pod (0 of 2): 2 cannot reach the volume of the store.",
            id="the volume is elsewhere",
        ),
        pytest.param(
            "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, "
            "2 node(s) didn't match PersistentVolume's node affinity.",
            "No node can run the pod (0 of 3): 1 has a taint that the pod does not tolerate "
            "(node.kubernetes.io/unreachable), 2 cannot reach the volume of the store.",
            id="the volume is on a lost node",
        ),
        pytest.param(
            "0/3 nodes are available: 1 node(s) didn't find available persistent volumes to bind, "
            "1 node(s) did not have enough free storage, 1 node(s) unavailable due to one or more pvc(s) bound to "
            "non-existent pv(s).",
            "No node can run the pod (0 of 3): 1 has no free volume for the claim, 1 has too little storage left for "
            "the claim, 1 would need the volume of the store, which does not exist any more.",
            id="no volume to be had",
        ),
        pytest.param(
            "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access "
            "mode already in-use by another pod.",
            "No node can run the pod (0 of 2): 2 hold the volume of the store for another pod (ReadWriteOncePod).",
            id="a volume for one pod",
        ),
        pytest.param(
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            "The claim is not bound to a volume yet; kubectl get pvc shows which, kubectl describe pvc why.",
            id="a claim without a volume",
        ),
        pytest.param(
            "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found. preemption: 0/3",
            "The claim is not bound to a volume yet; kubectl get pvc shows which, kubectl describe pvc why.",
            id="a claim without a volume, and the end of another sentence",
        ),
        pytest.param(
            "0/2 nodes are available: 2 Insufficient nvidia.com/mig-1g.10gb." + AFTERMATH,
            "No node can run the pod (0 of 2): 2 have too few GPUs left (nvidia.com/mig-1g.10gb).",
            id="GPUs under another name",
        ),
        pytest.param(
            "0/2 nodes are available: 2 Insufficient example.com/dsp, 1 node(s) had something new.",
            "No node can run the pod (0 of 2): 2 have too little example.com/dsp, 1 node(s) had something new.",
            id="what is not known stays as it is",
        ),
        pytest.param(
            "no nodes available", "No node can run the pod: no nodes available", id="another form"
        ),
    ],
)  # fmt: skip
def test_the_schedulers_words_for_people(message: str, expected: str) -> None:
    assert readable(message) == expected


@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    assert readable(text)
    assert readable(f"0/3 nodes are available: {text}")
