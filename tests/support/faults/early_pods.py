"""The kubelet's part where pods begin early: they get a node, work for a moment, and wait until they are told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.support.manypods import ManyPods, Object, delete_pod, phase_of, pods_path, set_pod_status
from tests.support.podrunner import ended, running

from audiojob_dev.rest import RestError
from audiojob_types.constants import ANNOTATION_INPUTS
from audiojob_types.contract import ExitCode, PhaseInput, PhaseResult

_WORK_SECONDS = 0.4
ENDED = ("Succeeded", "Failed")
# What became of a phase or a job; numbers of attempts may differ, as one that began in vain keeps its own.
_ENDS = ("state", "error", "failures", "disruptions", "outputs")


class EarlyPods(ManyPods):
    """As ManyPods; the behaviour is asked with the number of the try instead of the attempt's."""

    def __init__(self, rest: Any, namespaces: list[str], behaviour: Callable[[PhaseInput, Object], Object]) -> None:
        super().__init__(rest, namespaces, behaviour)
        self._at_work: dict[str, float] = {}  # by pod: since when
        self._tries: Counter[tuple[str, str]] = Counter()
        self._over: set[str] = set()
        self.told = 0

    def _look(self) -> None:
        for pod in self._rest.request("GET", "/api/v1/pods")["items"]:
            if pod["metadata"]["namespace"] not in self.namespaces:
                continue
            try:
                self._handle(pod)
            except RestError as error:
                if error.status not in (404, 409, 422):  # else it was deleted meanwhile
                    raise

    def _handle(self, pod: Object) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            self._stop_pod(pod)
            delete_pod(self._rest, pod)
        elif pod["status"].get("phase") in ENDED:
            pass
        elif not pod["spec"].get("nodeName"):
            self._place(pod)
            self.seen[pod["metadata"]["name"]] = phase_of(pod)
            set_pod_status(self._rest, pod, running())
        else:
            self._work(pod)

    def _place(self, pod: Object) -> None:
        """Give it the node."""
        name, path = pod["metadata"]["name"], pods_path(pod["metadata"]["namespace"])
        node = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": node}
        self._rest.request("POST", f"{path}/{name}/binding", binding)

    def _work(self, pod: Object) -> None:
        name, told = pod["metadata"]["name"], pod["metadata"]["annotations"].get(ANNOTATION_INPUTS)
        if name in self._over:
            return
        if told == "":
            until = phase_of(pod).wait_until
            if until is not None and datetime.now(UTC) > until:
                set_pod_status(self._rest, pod, ended(ExitCode.STOPPED, None))
            return
        if time.monotonic() - self._at_work.setdefault(name, time.monotonic()) < _WORK_SECONDS:
            return
        phase = PhaseInput.model_validate_json(told) if told else phase_of(pod)
        number = self._tries[phase.uid, phase.phase] + 1
        status = self._behaviour(phase.model_copy(update={"attempt": number}), pod)
        self._over.add(name)
        self._tries[phase.uid, phase.phase] = number
        self.told += told is not None
        set_pod_status(self._rest, pod, _told(status) if told else status)


def _told(status: Object) -> Object:
    """The same, of a pod that has read what it was told."""
    terminated: Any = status["containerStatuses"][0]["state"].get("terminated")
    if terminated is not None and "message" in terminated:
        result = PhaseResult.model_validate_json(terminated["message"])
        terminated["message"] = result.model_copy(update={"told": True}).model_dump_json(
            by_alias=True, exclude_none=True
        )
    return status


def plain_end(end: Mapping[str, Any]) -> dict[str, Any]:
    """Of a job's masked end what does not depend on whether its pods began early."""
    phases = [{"name": one["name"], **_of(one)} for one in end.get("phases", ())]
    return {**_of(end), "phases": phases}


def outcome(end: Mapping[str, Any]) -> dict[str, Any]:
    """Of a job's masked end what does not depend on what happened to workers."""
    phases = [{name: one[name] for name in ("name", "state")} for one in end.get("phases", ())]
    error = {"reason": end["error"]["reason"]} if "error" in end else {}
    outputs = [
        {name: one[name] for name in ("phase", "name", "sha256") if name in one} for one in end.get("outputs", ())
    ]
    return {"state": end.get("state"), "phases": phases, "outputs": outputs, **error}


def _of(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: status[name] for name in _ENDS if name in status}
