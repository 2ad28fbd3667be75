"""AudioJobs that an upgrade meets in every state, and what must be true of them at their end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bench.product import NAMESPACE

from audiojob_dev.rest import MERGE_PATCH, Rest, RestError
from audiojob_types.constants import API_VERSION, LABEL_ATTEMPT, LABEL_JOB, LABEL_PHASE
from audiojob_types.resources.job import AudioJob

LONG, SHORT = 45_000, 500  # milliseconds; a long phase is met by a change of release
SMALL = {"cpu": "20m", "memory": "96Mi", "scratch": "16Mi"}
JOBS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/audiojobs"

Object = dict[str, Any]


def simulate(name: str, milliseconds: int, **others: Any) -> Object:
    """A phase that takes so long."""
    parameters = {"simulate": {"durationMilliseconds": milliseconds, **others.pop("simulate", {})}}
    return {"name": name, "task": "Simulate", "resources": SMALL, "parameters": parameters, **others}


def _three(long: int) -> list[Object]:
    return [simulate(name, LONG if at == long else SHORT) for at, name in enumerate(("one", "two", "three"))]


_BACKOFF = {"limit": 3, "baseSeconds": 40, "capSeconds": 60}
PIPELINES: dict[str, list[Object]] = {
    "meets-first": _three(0),
    "meets-second": _three(1),
    "meets-third": _three(2),
    "meets-review": [simulate("one", SHORT), simulate("two", SHORT, gate="Review")],
    "meets-failing": [
        simulate("one", SHORT, simulate={"exitCode": 75, "failAttempts": 1}, retry=_BACKOFF),
        simulate("two", SHORT),
    ],
    "meets-short": [simulate("one", SHORT), simulate("two", SHORT)],
    "meets-input": [simulate("one", SHORT, inputs=[{"name": "source", "from": "Job"}]), simulate("two", SHORT)],
}


def runs(phase: int) -> Callable[[AudioJob], bool]:
    """Whether that phase is at work."""
    return lambda job: len(job.status.phases) > phase and job.status.phases[phase].state == "Running"


def reason_of(job: AudioJob) -> str:
    """Why it waits, in one word; empty when it says nothing of that."""
    return next((each.reason for each in job.status.conditions if each.type == "Progressing"), "")


def waits(reason: str) -> Callable[[AudioJob], bool]:
    """Whether the job says that it waits for that reason."""
    return lambda job: reason_of(job) == reason


@dataclass(frozen=True, slots=True)
class Situation:
    """A job that is met in ``state``; ``release`` is the patch of its spec by which it goes on.

    One that has ``begun`` keeps the images that it began with; another takes those of the release that starts it.
    """

    name: str
    pipeline: str
    state: Callable[[AudioJob], bool]
    spec: Object = field(default_factory=dict)
    release: Object | None = None
    attempts: tuple[int, ...] = (1, 1)
    begun: bool = True


SITUATIONS = (
    Situation("in-first", "meets-first", runs(0), attempts=(1, 1, 1)),
    Situation("in-second", "meets-second", runs(1), attempts=(1, 1, 1)),
    Situation("in-third", "meets-third", runs(2), attempts=(1, 1, 1)),
    Situation(
        "at-review",
        "meets-review",
        waits("AwaitingReview"),
        release={"reviews": [{"phase": "two", "approved": True}]},
    ),
    Situation("backing-off", "meets-failing", waits("BackingOff"), attempts=(2, 1)),
    Situation("suspended", "meets-short", waits("Suspended"), {"suspend": True}, {"suspend": False}, begun=False),
    Situation("waits", "meets-input", waits("WaitingForJob"), begun=False),
    Situation("held", "meets-short", waits("Held"), {"queueName": "meets-held"}, begun=False),
)


class Work:
    """AudioJobs of the benchmark's namespace."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def prepare(self, pipelines: dict[str, list[Object]]) -> None:
        """Create pipelines, and a queue that starts nothing."""
        for name, phases in pipelines.items():
            self._apply("AudioPipeline", f"/apis/{API_VERSION}/audiopipelines", name, {"phases": phases})
        queue = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/audioqueues"
        self._apply("AudioQueue", queue, "meets-held", {"stopPolicy": "Hold"})

    def hold(self, held: bool) -> None:
        """Stop that queue, or let it go."""
        body = {"spec": {"stopPolicy": "Hold" if held else "None"}}
        path = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/audioqueues/meets-held"
        self._rest.request("PATCH", path, body, content_type=MERGE_PATCH)

    def _apply(self, kind: str, path: str, name: str, spec: Object) -> None:
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self._rest.apply(f"{path}/{name}", body)

    def submit(self, name: str, pipeline: str, spec: Object | None = None) -> None:
        """Create an AudioJob."""
        body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}}
        self._rest.request("POST", JOBS, {**body, "spec": {"pipeline": pipeline, **(spec or {})}})

    def patch(self, name: str, spec: Object) -> None:
        """Merge-patch its spec."""
        self._rest.request("PATCH", f"{JOBS}/{name}", {"spec": spec}, content_type=MERGE_PATCH)

    def job(self, name: str) -> AudioJob:
        """As it is now."""
        return AudioJob.model_validate(self._rest.request("GET", f"{JOBS}/{name}"))

    def jobs(self) -> list[AudioJob]:
        """All as they are now."""
        return [AudioJob.model_validate(each) for each in self._rest.request("GET", JOBS)["items"]]

    def until(self, name: str, check: Callable[[AudioJob], bool], what: str, seconds: float) -> AudioJob:
        """Wait until it holds of a job. Raises TimeoutError with the job's own words."""
        end = time.monotonic() + seconds
        while not check(job := self.job(name)):
            if time.monotonic() > end:
                raise TimeoutError(f"{name}: not {what} after {seconds:.0f} s: {job.status.model_dump_json()[:2000]}")
            time.sleep(0.25)
        return job

    def ended(self, name: str, seconds: float) -> AudioJob:
        """Wait for its end, however it ends."""
        return self.until(name, lambda job: job.status.state.finished, "at its end", seconds)

    def submit_all(self, mark: str) -> None:
        """One job in each situation; returns when all are in theirs."""
        self.hold(True)
        for each in SITUATIONS:
            spec = {**each.spec}
            if each.name == "waits":
                spec["source"] = {"jobRef": {"name": f"{mark}-in-third"}}
            self.submit(f"{mark}-{each.name}", each.pipeline, spec)
        for each in SITUATIONS:
            self.until(f"{mark}-{each.name}", each.state, "where it is to be met", 90)

    def release_all(self, mark: str) -> None:
        """Let those go on that wait for somebody."""
        self.hold(False)
        for each in SITUATIONS:
            if each.release is not None:
                self.patch(f"{mark}-{each.name}", each.release)

    def check_all(self, mark: str, before: str, after: str) -> list[str]:
        """Wait for the ends; what is wrong with them, a line each. ``before``, ``after``: the releases' runners."""
        wrong: list[str] = []
        for each in SITUATIONS:
            name = f"{mark}-{each.name}"
            job = self.ended(name, 240)
            attempts = tuple(phase.attempt for phase in job.status.phases)
            if job.status.state != "Succeeded" or attempts != each.attempts:
                wrong.append(
                    f"{name}: {job.status.state}, attempts {attempts}, not {each.attempts}; {job.status.error}"
                )
            wrong += self.wrong_children(name, each.attempts)
            ran = {container["image"] for pod in self.pods(name) for container in pod["spec"]["containers"]}
            image = before if each.begun else after
            wrong += [f"{name} ran {ran}, not {image}"] if ran != {image} else []
        return wrong

    def wrong_children(self, name: str, attempts: Iterable[int]) -> list[str]:
        """A phase's attempts are numbered from one, each has one Kubernetes Job, and each of those one pod."""
        phases = [phase.name for phase in self.job(name).status.phases]
        wanted = Counter(
            (phase, str(at + 1)) for phase, most in zip(phases, attempts, strict=True) for at in range(most)
        )
        wrong = []
        for what, found in (("Jobs", self._children(name)), ("pods", self.pods(name))):
            made = Counter(
                (each["metadata"]["labels"][LABEL_PHASE], each["metadata"]["labels"][LABEL_ATTEMPT]) for each in found
            )
            wrong += [f"{name}: {what} {dict(made)}, not {dict(wanted)}"] if made != wanted else []
        return wrong

    def pods(self, name: str) -> list[Object]:
        """Its pods."""
        return self._of(f"/api/v1/namespaces/{NAMESPACE}/pods", name)

    def _children(self, name: str) -> list[Object]:
        return self._of(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", name)

    def _of(self, path: str, name: str) -> list[Object]:
        found: list[Object] = self._rest.request("GET", f"{path}?labelSelector={quote(f'{LABEL_JOB}={name}')}")["items"]
        return found


def evict(rest: Rest, metadata: Object) -> bool:
    """Evict a pod, as ``kubectl drain`` does; False where a budget refuses."""
    where = {"name": metadata["name"], "namespace": metadata["namespace"]}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": where}
    try:
        rest.request("POST", f"/api/v1/namespaces/{where['namespace']}/pods/{where['name']}/eviction", body)
    except RestError as error:
        if error.status == 404:
            return True
        if error.status == 429:
            return False
        raise
    return True


def told(wrong: list[str]) -> int:
    """Print what is wrong; the exit status."""
    for line in wrong:
        print(f"WRONG: {line}")
    print(json.dumps({"wrong": len(wrong)}))
    return 1 if wrong else 0
