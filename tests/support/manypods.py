"""The kubelet's part in many namespaces at once, and what else a test does to pods and Jobs."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from typing import Any

from tests.support.podrunner import OF_THE_CACHE, Behaviour, PodRunner, ended, succeed

from audiojob_dev.rest import MERGE_PATCH, Rest, RestError
from audiojob_types.constants import ANNOTATION_PHASE, LABEL_MANAGED_BY, MANAGER_OPERATOR
from audiojob_types.contract import PhaseInput

Object = dict[str, Any]

_SELECTOR = f"labelSelector={LABEL_MANAGED_BY}%3D{MANAGER_OPERATOR}"
_POLL_SECONDS = 0.1
_STOPPED = 143


class ManyPods(PodRunner):
    """As PodRunner, for a set of namespaces with one list of all pods; an API server that is away is waited for."""

    def __init__(self, rest: Rest, namespaces: Iterable[str], behaviour: Behaviour = succeed) -> None:
        super().__init__(rest, "", behaviour)
        self.namespaces = set(namespaces)

    def __enter__(self) -> ManyPods:
        super().__enter__()
        return self

    def of(self, namespace: str) -> list[PhaseInput]:
        """What the pods of one namespace were given, in the order in which they appeared."""
        return [phase for phase in list(self.seen.values()) if phase.namespace == namespace]

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            try:
                self._look()
            except (OSError, http.client.HTTPException, RestError):
                continue  # the next look finds what this one missed

    def _look(self) -> None:
        for pod in self._rest.request("GET", f"/api/v1/pods?{_SELECTOR}&{OF_THE_CACHE}")["items"]:
            metadata = pod["metadata"]
            if metadata["namespace"] not in self.namespaces:
                continue
            if "deletionTimestamp" in metadata:
                self._stop_pod(pod)
            elif metadata["name"] not in self.seen:
                self._path = pods_path(metadata["namespace"])
                self._play(pod)

    def _stop_pod(self, pod: Object) -> None:
        """A pod that is deleted is told to stop, and says that it did."""
        if pod["status"].get("phase") not in ("Succeeded", "Failed"):
            set_pod_status(self._rest, pod, ended(_STOPPED, None))


def pods_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def phase_of(pod: Object) -> PhaseInput:
    """What the pod was given to do."""
    return PhaseInput.model_validate_json(pod["metadata"]["annotations"][ANNOTATION_PHASE])


def set_pod_status(rest: Rest, pod: Object, status: Object) -> None:
    """Write a pod's status, as its kubelet does."""
    path = f"{pods_path(pod['metadata']['namespace'])}/{pod['metadata']['name']}/status"
    rest.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)


def finish_pod(rest: Rest, pod: Object) -> None:
    """Let a pod succeed."""
    set_pod_status(rest, pod, succeed(phase_of(pod), pod))


def delete_job(rest: Rest, job: Object) -> None:
    """Delete a batch Job as the TTL controller or a person does: its pods go with it."""
    metadata = job["metadata"]
    path = f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs/{metadata['name']}"
    rest.request("DELETE", path, {"propagationPolicy": "Background"})


def delete_pod(rest: Rest, pod: Object) -> None:
    """Delete a pod by force: it is gone at once."""
    path = f"{pods_path(pod['metadata']['namespace'])}/{pod['metadata']['name']}"
    rest.request("DELETE", path, {"gracePeriodSeconds": 0})
