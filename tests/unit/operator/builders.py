"""Small worlds for tests of the operator's core: AudioJobs, pipelines, and a cluster that does what a plan says."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.operator.jsonpatch import apply_patch
from tests.unit.operator.results import SHA, phase_input_of, result_message, tell_pod

from audiojob_operator.deciding.children.observe import observe_job
from audiojob_operator.deciding.decide import decide
from audiojob_operator.deciding.revisions import InvalidRevisionError, parse_revision, revision_name
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observed import Observed, Retried, Unreadable
from audiojob_operator.records.plan import EventRecord, Plan
from audiojob_operator.records.reuse import ReuseAnswer, ReuseAsk
from audiojob_operator.records.settings import DecideSettings, Images, Revision
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.constants import GPU_RESOURCE
from audiojob_types.contract import FolderStore
from audiojob_types.descriptor import ImageFamily
from audiojob_types.models import ModelBook
from audiojob_types.resources.job import AudioJob, PhaseStatus, State
from audiojob_types.resources.pipeline import AudioPipeline

__all__ = ["SHA", "phase_input_of", "result_message"]

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID = "4a6c1f0e-6f0b-4a52-9f1e-0d1f6f9c1a10"
NAMESPACE = "music"
SETTINGS = DecideSettings(
    images=Images({family: f"docker.io/audiojob/{family.value}:1" for family in ImageFamily}),
    store=FolderStore(),
    models_claim=True,
)
URL = "https://media.example.org/song.ogg"
SHORT_RETRY = {"limit": 3, "baseSeconds": 2, "capSeconds": 600}


def phase(name: str, task: str = "Simulate", **more: Any) -> Object:
    """A phase of a pipeline."""
    return {"name": name, "task": task, **more}


def pipeline(*phases: Object, name: str = "pair", **spec: Any) -> Object:
    """An AudioPipeline; two simulated phases by default, of three attempts each with short waits between them."""
    return {
        "apiVersion": c.API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": list(phases) or [phase("first"), phase("second")], "retry": SHORT_RETRY, **spec},
    }


def separate_pipeline(**spec: Any) -> Object:
    """download → normalize → separate, as the chart ships it."""
    return pipeline(
        phase("download", "Download", inputs=[{"name": "source", "from": "Job"}]),
        phase("normalize", "Normalize", inputs=[{"name": "source", "from": "download", "output": "source"}]),
        phase(
            "separate",
            "Separate",
            device="Auto",
            weight=8,
            inputs=[{"name": "audio", "from": "normalize", "output": "audio"}],
        ),
        name="separate",
        **spec,
    )


def audio_job(name: str = "song", *, pipeline: str = "pair", uid: str = UID, **spec: Any) -> Object:
    """A new AudioJob, with the status that the CRD's default gives it."""
    return {
        "apiVersion": c.API_VERSION,
        "kind": "AudioJob",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": format_time(NOW),
        },
        "spec": {"pipeline": pipeline, "queueName": "default", "suspend": False, "cancel": False, **spec},
        "status": {"state": "Pending", "percent": 0, "message": "Waiting for the operator"},
    }


@dataclass
class World:
    """An API server and kubelet of plain dictionaries, with a clock that tests move by hand."""

    audiojob: Object = field(default_factory=audio_job)
    pipeline: Object | None = field(default_factory=pipeline)
    now: datetime = NOW
    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)  # by Job
    revisions: dict[str, Object] = field(default_factory=dict)
    events: dict[str, EventRecord] = field(default_factory=dict)
    settings: DecideSettings = SETTINGS
    admission: Admission = field(default_factory=lambda: Admission(admitted=True))
    prepared: bool = True
    gpu: bool = False  # one node offers 8
    gpus_in_all: int = 8
    granted: int = 8
    kueue: str | None = None
    cooling: datetime | None = None
    running: int = 0  # AudioJobs, in all
    source_job: Object | Unreadable | None = None
    retried: Retried | Unreadable | None = None
    models: ModelBook | None = None
    may_begin_early: bool | None = None
    without_room: frozenset[str] = frozenset()
    ask: Callable[[ReuseAsk], ReuseAnswer] | None = None  # whom a decision asks about work that others do
    writes: list[str] = field(default_factory=list)
    created_jobs: list[str] = field(default_factory=list)
    deleted: bool = False
    serial: int = 0

    # ---------------------------------------------------------------- looking

    @property
    def job(self) -> AudioJob:
        """The AudioJob, parsed."""
        return AudioJob.model_validate(self.audiojob)

    def observed(self) -> Observed:
        """What the shell would gather now."""
        job = self.job
        children = tuple(
            observe_job(child, [self.pods[name]] if name in self.pods else []) for name, child in self.jobs.items()
        )
        wanted = revision_name(job, children)
        stored = self.revisions.get(wanted or "")
        return Observed(
            job=job,
            raw_status=deepcopy(self.audiojob.get("status", {})),
            pipeline=AudioPipeline.model_validate(self.pipeline) if self.pipeline else None,
            revision=_read_revision(stored) if stored else None,
            children=children,
            namespace_prepared=self.prepared,
            admitted=self._admitted() if self.gpu else self.admission,
            gpus_per_node={GPU_RESOURCE: 8} if self.gpu else {},
            settings=self.settings,
            known_revisions=frozenset(self.revisions),
            kueue_local_queue=self.kueue,
            cooling_until=self.cooling,
            running=self.running,
            source_job=AudioJob.model_validate(source) if isinstance(source := self.source_job, dict) else source,
            retried=self.retried,
            models=self.models,
            reuse=None if self.ask is None else {},
            may_begin_early=self.may_begin_early,
            without_room=self.without_room,
        )

    def _admitted(self) -> Admission:
        used = max(0, self.gpus_in_all - self.granted)
        return replace(self.admission, gpus=self.granted, gpus_used=used, gpus_total=self.gpus_in_all)

    def decide(self) -> Plan:
        """The plan for this moment, carried out by nobody."""
        observed = self.observed()
        plan = decide(observed, self.now)
        while plan.asks:
            assert self.ask is not None
            answers = {**(observed.reuse or {}), **{wanted.key: self.ask(wanted) for wanted in plan.asks}}
            observed = replace(observed, reuse=answers)
            plan = decide(observed, self.now)
        return plan

    def state(self) -> State:
        """The job's state."""
        return self.job.status.state

    def phase(self, name: str) -> PhaseStatus:
        """A phase's record in status."""
        return next(each for each in self.job.status.phases if each.name == name)

    def condition(self, kind: str) -> Object:
        """A condition of the AudioJob."""
        conditions: list[Object] = self.audiojob["status"]["conditions"]
        return next(each for each in conditions if each["type"] == kind)

    @property
    def status(self) -> Object:
        """The stored status."""
        stored: Object = self.audiojob["status"]
        return stored

    def newest(self, phase: str) -> Object:
        """The Job of a phase's latest attempt."""
        mine = [job for job in self.jobs.values() if job["metadata"]["labels"][c.LABEL_PHASE] == phase]
        return max(mine, key=lambda job: int(job["metadata"]["labels"][c.LABEL_ATTEMPT]))

    # ---------------------------------------------------------------- the operator's writes

    def steps(self, plan: Plan) -> list[tuple[str, Any]]:
        """The plan's writes, one by one, in the order that the plan asks for."""
        made: list[tuple[str, Any]] = []
        if plan.create_revision:
            made.append(("revision", plan.create_revision))
        made += [("job", body) for body in (*plan.create_jobs, plan.create_early) if body is not None]
        made += [("event", event) for event in plan.events]
        if plan.status:
            made.append(("status", plan.status))
        made += [("tell", telling) for telling in plan.tell]
        made += [("delete", ref) for ref in plan.delete_jobs]
        if plan.delete_self:
            made.append(("self", None))
        return made

    def write(self, kind: str, what: Any) -> None:
        """One write, as the API server would commit it."""
        self.writes.append(kind)
        match kind:
            case "revision":
                self.revisions.setdefault(what["metadata"]["name"], deepcopy(what))
            case "job":
                self._create_job(what)
            case "event":
                self.events.setdefault(what.name, what)
            case "status":
                self.audiojob = apply_patch(self.audiojob, what)
                AudioJob.model_validate(self.audiojob)
            case "tell":
                (pod,) = (each for each in self.pods.values() if each["metadata"]["name"] == what.pod)
                tell_pod(pod, what)
            case "delete":
                if self.jobs.get(what.name, {}).get("metadata", {}).get("uid") == what.uid:
                    self.jobs.pop(what.name)
                    self.pods.pop(what.name, None)
            case "self":
                self.deleted = True

    def _create_job(self, body: Object) -> None:
        name = body["metadata"]["name"]
        if name in self.jobs:
            return  # AlreadyExists
        self.serial += 1
        created = deepcopy(body)
        created["metadata"] |= {"uid": f"job-uid-{self.serial}", "creationTimestamp": format_time(self.now)}
        self.jobs[name] = created
        self.created_jobs.append(name)

    def turn(self) -> Plan:
        """Decide and carry it all out."""
        plan = self.decide()
        for kind, what in self.steps(plan):
            self.write(kind, what)
        return plan

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)

    def edit(self, **spec: Any) -> None:
        """A user's change of the spec."""
        self.audiojob["spec"] |= spec
        self.audiojob["metadata"]["generation"] += 1

    # ---------------------------------------------------------------- the kubelet's part

    def pod(self, of: str, **status: Any) -> Object:
        """Give the newest Job of a phase a pod (or change its status)."""
        job = self.newest(of)
        name = job["metadata"]["name"]
        if name not in self.pods:
            self.pods[name] = {
                "metadata": {
                    "name": f"{name}-x1y2z",
                    "namespace": NAMESPACE,
                    "uid": "abcd1234-0000",
                    "creationTimestamp": format_time(self.now),
                },
                "spec": {},
                "status": {"phase": "Pending"},
            }
            if c.ANNOTATION_EARLY in job["metadata"]["annotations"]:
                self.pods[name]["metadata"]["annotations"] = {c.ANNOTATION_INPUTS: ""}
        pod = self.pods[name]
        pod["status"] |= status
        return pod

    def run(self, phase: str, node: str = "node-1") -> None:
        """The pod's container works."""
        pod = self.pod(
            phase,
            phase="Running",
            startTime=format_time(self.now),
            containerStatuses=[{"name": "runner", "state": {"running": {}}}],
        )
        pod["spec"]["nodeName"] = node

    def end(self, phase: str, code: int = 0, message: str = "", node: str = "node-1", **terminated: Any) -> None:
        """The pod's container ends."""
        self.run(phase, node)
        state = {"exitCode": code, "finishedAt": format_time(self.now), **terminated}
        if message:
            state["message"] = message
        self.pod(
            phase,
            phase="Succeeded" if code == 0 else "Failed",
            containerStatuses=[{"name": "runner", "state": {"terminated": state}}],
        )
        if code and self.kueue is None:  # else the test says when the Job gives up
            ended = {"type": "Failed", "status": "True", "lastTransitionTime": format_time(self.now)}
            self.newest(phase)["status"] = {"conditions": [ended]}

    def program(self, phase: str, code: int | None = None, message: str = "", **terminated: Any) -> None:
        """The program of a Container phase works, or ended; the containers before it did their part."""
        ended = {"exitCode": code, "finishedAt": format_time(self.now), "message": message, **terminated}
        pod = self.pod(
            phase,
            phase="Pending" if code in (None, 0) else "Failed",
            startTime=format_time(self.now),
            initContainerStatuses=[
                {"name": "fetch", "state": {"terminated": {"exitCode": 0, "finishedAt": format_time(self.now)}}},
                {"name": "report", "started": True, "state": {"running": {}}},
                {"name": "program", "state": {"running": {}} if code is None else {"terminated": ended}},
            ],
            containerStatuses=[{"name": "runner", "state": {"waiting": {"reason": "PodInitializing"}}}],
        )
        pod["spec"]["nodeName"] = "node-1"

    def watched(self, phase: str, reason: str, message: str = "It stands still.") -> None:
        """The reporter beside the program finds it too slow, and is started again."""
        self.program(phase)
        text = result_message(self.newest(phase), outcome="Failed", reason=reason, message=message)
        ended = {"terminated": {"exitCode": 75, "finishedAt": format_time(self.now), "message": text}}
        report = self.pod(phase)["status"]["initContainerStatuses"][1]
        report |= {"state": {"running": {}}, "lastState": ended}

    def succeed(self, phase: str, *outputs: str, node: str = "node-1") -> None:
        """The phase does its work."""
        self.end(phase, 0, self.result(phase, outputs=outputs or ("audio",)), node=node)

    def result(self, phase: str, **more: Any) -> str:
        """The termination message of the phase's newest pod, which may have been told its inputs after it began."""
        job = deepcopy(self.newest(phase))
        annotations = self.pods.get(job["metadata"]["name"], {}).get("metadata", {}).get("annotations", {})
        if told := annotations.get(c.ANNOTATION_INPUTS):
            job["spec"]["template"]["metadata"]["annotations"][c.ANNOTATION_PHASE] = told
            more["told"] = True
        return result_message(job, **more)

    def fail(self, phase: str, code: int = 75, reason: str = "TemporaryFailure", message: str = "It broke.") -> None:
        """The phase fails and says why."""
        self.end(phase, code, self.result(phase, outcome="Failed", reason=reason, message=message))

    def finish(self, outputs: dict[str, tuple[str, ...]] | None = None, limit: int = 30, **result: Any) -> None:
        """Let every phase succeed until the job ends."""
        for _ in range(limit):
            self.turn()
            if self.job.status.state.finished:
                return
            running = [each for each in self.job.status.phases if each.state == "Running"]
            for each in running:
                made = (outputs or {}).get(each.name, ("audio",))
                self.end(each.name, 0, self.result(each.name, outputs=made, **result))
            if not running:
                self.pass_time(10)
        raise AssertionError(f"the job never ended: {self.status}")


def _read_revision(stored: Object) -> Revision | Unreadable:
    try:
        return parse_revision(stored)
    except InvalidRevisionError as error:
        return Unreadable(str(error))


def with_settings(**changes: Any) -> DecideSettings:
    """The default settings with some of them changed."""
    return replace(SETTINGS, **changes)
