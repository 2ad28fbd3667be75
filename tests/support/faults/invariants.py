"""What must hold of every run, whatever went wrong in it: I1 to I10 of docs/faults.md, as far as they need no store.

Each check takes what a run left behind and returns sentences, one for each breach.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from tests.integration.operator.conftest import Object, Space

from audiojob_dev.rest import RestError
from audiojob_operator.records.workers import is_told_ahead
from audiojob_types.constants import GPU_RESOURCE, LABEL_POOL
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES

_FINISHED = frozenset(str(state) for state in FINISHED_STATES)
_JOB_ENDS = ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet")
_MAX_MESSAGE = 1024
_MAX_WRITES_OF_A_PHASE = 40
_LOOK_SECONDS = 0.2
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HASH = re.compile(r"-(?:[0-9a-f]{10}|[0-9a-f]{8})(?![0-9a-z])")


def masked_end(job: Object) -> Any:
    """A job's status without times, uids, hashes and its namespace: equal for equal runs."""
    metadata, status = job["metadata"], dict(job["status"])
    # Of phases side by side the one that ended first is listed first.
    if "outputs" in status:
        status["outputs"] = sorted(status["outputs"], key=lambda one: (one["phase"], one["name"]))
    text = json.dumps(status, sort_keys=True)
    text = text.replace(metadata["uid"], "UID").replace(metadata["namespace"], "NAMESPACE")
    return json.loads(_HASH.sub("-HASH", _TIME.sub("TIME", text)))


@dataclass
class History:
    """What was seen of one namespace while it worked. Looks happen in a thread while entered.

    ``gpus`` is capacity.gpus, ``queue_gpus`` maxGPUs of the only queue; None is no limit.
    """

    space: Space
    breaches: list[str] = field(default_factory=list)
    gpus: int | None = None
    queue_gpus: int | None = None
    manifests: dict[tuple[str, str], Any] = field(default_factory=dict)
    _last: dict[str, Object] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> History:
        self._thread = threading.Thread(target=self._follow, name="history", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                jobs = self.space.rest.request("GET", self.space.jobs_path)["items"]
                children, pods = self.space.batch_jobs(), self.space.pods()
            except (OSError, HTTPException, RestError):
                continue
            for job in jobs:
                self.breaches += self.look(job)
            self.breaches += doubled(children, pods)
            self.breaches += crowded(jobs)
            self.breaches += too_many_gpus(jobs, pods, self.gpus, self.queue_gpus)

    def look(self, job: Object) -> list[str]:
        """I3 and I4 between two looks at one job: what was recorded stays, and nothing goes back."""
        uid, name, status = job["metadata"]["uid"], job["metadata"]["name"], job.get("status", {})
        before, self._last[uid] = self._last.get(uid, {}), status
        found = []
        if before.get("state") in _FINISHED and status.get("state") != before["state"]:
            found.append(f"I4: {name} went from {before['state']} to {status.get('state')}")
        if status.get("percent", 0) < before.get("percent", 0):
            found.append(f"I4: {name} went back from {before['percent']} to {status.get('percent')} percent")
        attempts = {phase["name"]: phase.get("attempt", 0) for phase in before.get("phases", ())}
        for phase in status.get("phases", ()):
            if phase.get("attempt", 0) < attempts.get(phase["name"], 0):
                found.append(f"I4: {name}/{phase['name']} went back to attempt {phase.get('attempt', 0)}")
            known = self.manifests.setdefault((uid, phase["name"]), phase.get("manifest"))
            if known is None:
                self.manifests[uid, phase["name"]] = phase.get("manifest")
            elif phase.get("manifest") != known:
                found.append(f"I3: the manifest of {name}/{phase['name']} changed from {known}")
        return found


def doubled(children: Iterable[Object], pods: Iterable[Object]) -> list[str]:
    """I2: at most one live Job for each phase of an AudioJob. ``pods`` are listed after ``children``.

    A Job whose pod has ended lives no more, although its own condition follows later: the design starts the next
    attempt at once.
    """
    over = {
        pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        for pod in pods
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    }
    live: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for child in children:
        if LABEL_POOL in child["metadata"]["labels"]:
            continue  # a worker's
        metadata, conditions = child["metadata"], child.get("status", {}).get("conditions", ())
        ended = any(one["type"] in _JOB_ENDS and one["status"] == "True" for one in conditions)
        if not ended and metadata["name"] not in over and "deletionTimestamp" not in metadata:
            labels = metadata["labels"]
            live[labels["audiojobs.dev/uid"], labels["audiojobs.dev/phase"]].append(metadata["name"])
    return [f"I2: live at once: {', '.join(names)}" for names in live.values() if len(names) > 1]


def crowded(jobs: Iterable[Object]) -> list[str]:
    """I9: no worker has two phases at work. ``jobs`` are one list of the API server's."""
    at_work: defaultdict[str, list[str]] = defaultdict(list)
    for job in jobs:
        status = job.get("status", {})
        for phase in status.get("phases", ()):
            report = status.get("progress", {}).get(phase["name"], {})
            begun = report.get("attempt") == phase.get("attempt") and report.get("begun") and not report.get("result")
            if (phase["state"] == "Running" or is_told_ahead(phase)) and "podUID" in phase and begun:
                at_work[phase["podUID"]].append(f"{job['metadata']['name']}/{phase['name']}")
    return [f"I9: one worker has {', '.join(names)} at work" for names in at_work.values() if len(names) > 1]


def too_many_gpus(
    jobs: Iterable[Object], pods: Iterable[Object], most: int | None, most_in_queue: int | None
) -> list[str]:
    """I10: pods that have not ended hold no more GPUs than capacity.gpus, phases at work no more than maxGPUs."""
    holders = {
        pod["metadata"]["name"]: sum(_gpus(each) for each in pod["spec"]["containers"])
        for pod in pods
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    }
    found = []
    if most is not None and (held := sum(holders.values())) > most:
        names = sorted(name for name, count in holders.items() if count)
        found.append(f"I10: {held} GPUs of {most} are held by {', '.join(names)}")
    used = sum(
        phase["state"] == "Running" and phase.get("device") == "GPU"
        for job in jobs
        for phase in job.get("status", {}).get("phases", ())
    )
    if most_in_queue is not None and used > most_in_queue:
        found.append(f"I10: {used} phases of the queue have GPUs, and maxGPUs is {most_in_queue}")
    return found


def _gpus(container: Object) -> int:
    return int(container.get("resources", {}).get("limits", {}).get(GPU_RESOURCE, 0))


def miscounted(jobs: Iterable[Object], reference: Mapping[str, Any], made: Mapping[tuple[str, str], int]) -> list[str]:
    """I5 where workers are harmed: a phase has failed as often as in the undisturbed run, and as that was made to."""
    found = []
    for job in jobs:
        name = job["metadata"]["name"]
        wanted = {phase["name"]: phase.get("failures", 0) for phase in reference[name]["phases"]}
        for phase in job["status"]["phases"]:
            most = wanted[phase["name"]] + made.get((name, phase["name"]), 0)
            if phase.get("failures", 0) > most:
                found.append(
                    f"I5: {name}/{phase['name']} failed {phase['failures']} times, and was made to {most} times"
                )
    return found


def unfinished(jobs: Iterable[Object]) -> list[str]:
    """I1: every job has ended, with one final condition and a time."""
    found = []
    for job in jobs:
        name, status = job["metadata"]["name"], job.get("status", {})
        if status.get("state") not in _FINISHED:
            found.append(f"I1: {name} has not ended: {status.get('state')}, {status.get('message')}")
            continue
        true = {one["type"] for one in status["conditions"] if one["status"] == "True"} & {"Complete", "Failed"}
        if len(true) != 1 or "completionTime" not in status:
            found.append(f"I1: {name} is {status['state']} with conditions {sorted(true)}")
    return found


def repeated(created: Counter[str], attempts: Counter[tuple[str, str, int]]) -> list[str]:
    """I2: no Job was created twice, and no attempt had two pods."""
    found = [f"I2: Job {name} was created {count} times" for name, count in created.items() if count > 1]
    return found + [f"I2: {attempt} had {count} pods" for attempt, count in attempts.items() if count > 1]


def strange_ends(ends: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """I5: every job ended as in the undisturbed run. Both are masked."""
    found = []
    for name, end in ends.items():
        want = reference[name]
        for key in sorted(end.keys() | want.keys()):
            if end.get(key) != want.get(key):
                had, wanted = _without_common(end.get(key), want.get(key))
                found.append(f"I5: {name} ended with {key} {had}, and with {wanted} in the undisturbed run")
    return found


def _without_common(one: Any, other: Any) -> tuple[Any, Any]:
    """Of two lists only what the other lacks."""
    if isinstance(one, list) and isinstance(other, list):
        return [entry for entry in one if entry not in other], [entry for entry in other if entry not in one]
    return one, other


def storms(writes: int, attempts: int) -> list[str]:
    """I6: the number of writes that were tried, refused ones included, is bounded by the work."""
    most = _MAX_WRITES_OF_A_PHASE * max(1, attempts)
    return [f"I6: {writes} writes for {attempts} attempts"] if writes > most else []


def leftovers(children: Iterable[Object], pods: Iterable[Object]) -> list[str]:
    """I7: nothing is left of deleted jobs."""
    names = sorted(one["metadata"]["name"] for one in (*children, *pods))
    return [f"I7: left behind: {', '.join(names)}"] if names else []


def unexplained(jobs: Iterable[Object], events: Iterable[Object] | None) -> list[str]:
    """I8: every failure has a known reason, a short message and (unless None is given) an event."""
    told = None if events is None else {(one["involvedObject"]["uid"], one["reason"]) for one in events}
    found = []
    for job in jobs:
        name, status = job["metadata"]["name"], job.get("status", {})
        if status.get("state") != "Failed":
            continue
        error = status.get("error") or {}
        reason, message = error.get("reason", ""), error.get("message", "")
        if reason not in set(Reason) or not message or len(message.encode()) > _MAX_MESSAGE:
            found.append(f"I8: {name} failed without a proper reason: {error}")
        if told is not None and (job["metadata"]["uid"], reason) not in told:
            found.append(f"I8: no event tells that {name} failed with {reason}")
    return found
