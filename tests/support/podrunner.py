"""The kubelet's part in tests without nodes: every pod that appears starts, ends at once, and leaves its result."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from audiojob_dev.rest import MERGE_PATCH, Rest, RestError
from audiojob_types.base import format_time
from audiojob_types.constants import ANNOTATION_INPUTS, ANNOTATION_PHASE
from audiojob_types.contract import ManifestRef, Outcome, OutputRef, PhaseInput, PhaseResult, ReadInput
from audiojob_types.progress import PhaseUsage

Object = dict[str, Any]
Behaviour = Callable[[PhaseInput, Object], Object]

_POLL_SECONDS = 0.05
OF_THE_CACHE = "resourceVersion=0"  # which may be milliseconds old: a look takes the server half the work
USAGE = PhaseUsage(
    cpu_milliseconds=250, media_milliseconds=60_000, work_milliseconds=500, start_milliseconds=50, written_bytes=64
)
"""What each phase that succeeds says that it took."""


def succeed(phase: PhaseInput, pod: Object, review_asked: str | None = None) -> Object:
    """The status of a pod whose phase has published one output, and perhaps asks people to look at it."""
    folder = f"{phase.output_prefix}/{phase.attempt}-{pod['metadata']['uid'][:8]}"
    digest = hashlib.sha256(phase.phase.encode()).hexdigest()
    result = PhaseResult(
        outcome=Outcome.SUCCEEDED,
        manifest=ManifestRef(key=f"{folder}/manifest.json", sha256=digest, count=1),
        outputs=(OutputRef(name="output", media_type="application/octet-stream", bytes=64, sha256=digest),),
        inputs=read_by(phase),
        usage=USAGE,
        review_asked=review_asked,
    )
    return ended(0, result)


def read_by(phase: PhaseInput) -> tuple[ReadInput, ...]:
    """What a runner reports of its inputs, where it finds what is recorded."""
    files = [file for file in phase.inputs if file.manifest is not None and file.about is None]
    return tuple(ReadInput(name=file.name, sha256=file.recorded_sha256 or "0" * 64) for file in files)


def ended(exit_code: int, result: PhaseResult | None, reason: str = "") -> Object:
    """A pod status whose one container has ended."""
    now = format_time(datetime.now(UTC))
    terminated: Object = {
        "exitCode": exit_code,
        "reason": reason or ("Completed" if exit_code == 0 else "Error"),
        "startedAt": now,
        "finishedAt": now,
    }
    if result is not None:
        terminated["message"] = json.dumps(result.to_wire())
    return {
        "phase": "Succeeded" if exit_code == 0 else "Failed",
        "startTime": now,
        "containerStatuses": [_container({"terminated": terminated})],
    }


def having_read(status: Object) -> Object:
    """The same end, of a pod that began early and has read what it was told."""
    for container in status.get("containerStatuses", ()):
        terminated = container["state"].get("terminated") or {}
        if "message" in terminated:
            terminated["message"] = json.dumps({**json.loads(terminated["message"]), "told": True})
    return status


def running() -> Object:
    """A pod status whose one container works."""
    now = format_time(datetime.now(UTC))
    return {"phase": "Running", "startTime": now, "containerStatuses": [_container({"running": {"startedAt": now}})]}


def waiting(reason: str, message: str) -> Object:
    """A pod status whose one container cannot start."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [_container(state)]}


def _container(state: Object) -> Object:
    return {"name": "phase", "image": "test", "imageID": "", "ready": False, "restartCount": 0, "state": state}


class PodRunner:
    """Follows one namespace in a thread. ``behaviour`` makes the status of each new pod; {} leaves the pod alone.

    A pod that began early is played once it is told its inputs.
    """

    def __init__(self, rest: Rest, namespace: str, behaviour: Behaviour = succeed) -> None:
        self._rest = rest
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._behaviour = behaviour
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pods of {namespace}", daemon=True)
        self.seen: dict[str, PhaseInput] = {}  # by pod name

    def __enter__(self) -> PodRunner:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            for pod in self._rest.request("GET", f"{self._path}?{OF_THE_CACHE}")["items"]:
                new = pod["metadata"]["name"] not in self.seen and "deletionTimestamp" not in pod["metadata"]
                if new and pod["metadata"]["annotations"].get(ANNOTATION_INPUTS) != "":
                    self._play(pod)

    def _play(self, pod: Object) -> None:
        annotations = pod["metadata"]["annotations"]
        told = annotations.get(ANNOTATION_INPUTS)
        phase = PhaseInput.model_validate_json(told or annotations[ANNOTATION_PHASE])
        status = self._behaviour(phase, pod)
        status = having_read(status) if told else status
        self.seen[pod["metadata"]["name"]] = phase
        if not status:
            return
        path = f"{self._path}/{pod['metadata']['name']}/status"
        try:
            self._rest.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)
        except RestError as error:
            if error.status == 404 or (error.status == 422 and self._has_ended(pod)):
                return  # deleted, or ended by the test, since the list was read
            raise

    def _has_ended(self, pod: Object) -> bool:
        try:
            now = self._rest.request("GET", f"{self._path}/{pod['metadata']['name']}")
        except RestError as error:
            return error.status == 404
        return now["status"].get("phase") in ("Succeeded", "Failed")
