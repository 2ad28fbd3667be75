"""What is true of an AudioJob: its status."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from audiojob_types.base import Key, ObjectName, Sha256, StatusModel, Time, cel
from audiojob_types.constants import (
    MAX_PHASE_NAME,
    MAX_PHASES,
    MAX_REVIEW_INPUTS,
    MAX_REVIEW_TAKES,
    MAX_STATUS_OUTPUTS,
    MAX_STATUS_WARNINGS,
)
from audiojob_types.contract import HOST_PATTERN, Device, ManifestRef, OutputRef, RecordedTask, WarningText
from audiojob_types.outside.question import Question
from audiojob_types.progress import MAX_ATTEMPTS, PhaseProgressReport
from audiojob_types.reasons import Reason
from audiojob_types.resources.fields import (
    TERMINAL_STATES,
    Atomic,
    Generation,
    Message,
    OutputName,
    PhaseName,
    ReasonText,
)


class State(StrEnum):
    """One word for people, derived from conditions; nothing decides by it."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def finished(self) -> bool:
        """Whether the job can never change again."""
        return self in FINISHED_STATES


FINISHED_STATES = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class PhaseState(StrEnum):
    """Where one phase stands. Waiting covers both 'not started' and 'between two attempts'."""

    WAITING = "Waiting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def finished(self) -> bool:
        """Whether the phase can never change again."""
        return self in (PhaseState.SUCCEEDED, PhaseState.FAILED, PhaseState.CANCELLED)


class Condition(StatusModel):
    """metav1.Condition: all six fields, always."""

    type: Annotated[
        str, Field(max_length=63, description="type is Complete, Failed, Admitted, Suspended or Progressing.")
    ]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="status is True, False or Unknown.")]
    observed_generation: Annotated[
        Generation, Field(description="observedGeneration is the spec that the condition was decided from.")
    ]
    last_transition_time: Annotated[Time, Field(description="lastTransitionTime is when status last changed.")]
    reason: Annotated[
        str, Field(min_length=1, max_length=63, description="reason is one CamelCase word of docs/reasons.md.")
    ]
    message: Annotated[Message, Field(description="message is one sentence for people.")]


class CoolDown(StatusModel):
    """A host that limits requests."""

    host: Annotated[str, Field(pattern=HOST_PATTERN, max_length=253, description="host that refused to answer.")]
    time: Annotated[Time, Field(description="time of the refusal.")]


class PhaseStatus(StatusModel):
    """One phase. ``attempt`` only names; ``failures`` is what is compared with the retry limit."""

    name: Annotated[PhaseName, Field(description="name of the phase in the pipeline.")]
    task: Annotated[RecordedTask | None, Field(description="task is the code that the phase runs.")] = None
    state: Annotated[
        PhaseState,
        Field(description="state is Waiting (before and between attempts), Running, Succeeded, Failed or Cancelled."),
    ] = PhaseState.WAITING
    attempt: Annotated[
        int,
        Field(ge=0, le=MAX_ATTEMPTS, description="attempt is the number of the newest attempt; 0 before the first."),
    ] = 0
    early_attempt: Annotated[
        Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] | None,
        Field(
            description="earlyAttempt is the last attempt whose pod began before its inputs were there. It counts from "
            "when it is told them; until then the phase is Waiting."
        ),
    ] = None
    failures: Annotated[
        int, Field(ge=0, le=1_000, description="failures that count; the phase ends when they reach retry.limit.")
    ] = 0
    disruptions: Annotated[
        int, Field(ge=0, le=1_000, description="disruptions from outside, such as a drained node; they do not count.")
    ] = 0
    next_attempt_time: Annotated[Time | None, Field(description="nextAttemptTime is when the next attempt starts.")] = (
        None
    )
    cool_down: Annotated[
        CoolDown | None,
        Field(description="coolDown is the host that limits requests: it is not asked before nextAttemptTime."),
    ] = None
    job_name: Annotated[
        Annotated[str, Field(max_length=63)] | None, Field(description="jobName is the Job of the newest attempt.")
    ] = None
    pod_uid: Annotated[
        Annotated[str, Field(max_length=63)] | None,
        Field(
            alias="podUID",
            description="podUID is the worker's pod that has the newest attempt; absent for others.",
        ),
    ] = None
    bound_time: Annotated[
        Time | None, Field(description="boundTime is when that worker was given the newest attempt, or has begun it.")
    ] = None
    worker_wait_start_time: Annotated[
        Time | None, Field(description="workerWaitStartTime is since when the phase waits for a worker of its pool.")
    ] = None
    device: Annotated[Device | None, Field(description="device that the newest attempt runs on: CPU or GPU.")] = None
    device_reason: Annotated[
        ReasonText | None, Field(description="deviceReason says why it runs there, one word of docs/reasons.md.")
    ] = None
    gpu_wait_start_time: Annotated[
        Time | None, Field(description="gpuWaitStartTime is since when the phase waits for a GPU.")
    ] = None
    memory_request_bytes: Annotated[
        Annotated[int, Field(ge=0, le=2**53)] | None,
        Field(description="memoryRequestBytes is what the newest attempt asked for, or the next one will."),
    ] = None
    review_start_time: Annotated[
        Time | None, Field(description="reviewStartTime is since when the phase waits for its review.")
    ] = None
    kueue_start_time: Annotated[
        Time | None, Field(description="kueueStartTime is when Kueue first let the newest attempt start.")
    ] = None
    review_asked: Annotated[
        Question | None,
        Field(description="reviewAsked is what the phase asks people; a gate ReviewIfAsked after it stops for that."),
    ] = None
    review_takes: Annotated[
        Annotated[tuple[OutputName, ...], Field(max_length=MAX_REVIEW_TAKES, json_schema_extra=Atomic)] | None,
        Field(description="reviewTakes are the names of inputs that the phase's review may hand in."),
    ] = None
    review_inputs: Annotated[
        Annotated[tuple[OutputName, ...], Field(max_length=MAX_REVIEW_INPUTS, json_schema_extra=Atomic)] | None,
        Field(
            description="reviewInputs are the names of inputs that the review had handed in when the phase began: it "
            "and those after it read them in place of what earlier phases made. Later ones are ignored."
        ),
    ] = None
    node_name: Annotated[
        Annotated[str, Field(max_length=253)] | None,
        Field(
            description="nodeName is the node of the newest attempt, written together with something else; "
            "at the latest with the end of the attempt."
        ),
    ] = None
    log_key: Annotated[
        Key | None, Field(description="logKey is the first piece of the newest attempt's log in the store.")
    ] = None
    memory_bytes: Annotated[
        Annotated[int, Field(ge=0, le=2**53)] | None,
        Field(description="memoryBytes is the peak memory of the last attempt."),
    ] = None
    start_time: Annotated[Time | None, Field(description="startTime is when the first attempt started.")] = None
    completion_time: Annotated[Time | None, Field(description="completionTime is when the phase ended.")] = None
    reason: Annotated[ReasonText | None, Field(description="reason of the state, one word of docs/reasons.md.")] = None
    message: Annotated[Message | None, Field(description="message is one sentence for people.")] = None
    manifest: Annotated[
        ManifestRef | None, Field(description="manifest lists what the phase published; set when it has succeeded.")
    ] = None
    output_prefix: Annotated[
        Key | None,
        Field(
            description="outputPrefix is the folder with the phase's outputs; of a reused phase, that of the job that "
            "did the work."
        ),
    ] = None
    expires_time: Annotated[
        Time | None, Field(description="expiresTime is when what the phase published may be swept; absent: never.")
    ] = None
    reuse_key: Annotated[
        Sha256 | None,
        Field(description="reuseKey is the sha256 of task, parameters, inputs and image: equal for the same work."),
    ] = None
    reused_from: Annotated[
        ObjectName | None,
        Field(description="reusedFrom is the AudioJob that did the work; what it published lies in its folder."),
    ] = None
    reuse_off: Annotated[
        bool | None,
        Field(description="reuseOff is true once files that were taken over turned out to be missing."),
    ] = None

    @property
    def told_ahead(self) -> bool:
        """Whether a worker that is at work on another phase is told this one as the next."""
        waits = self.state is PhaseState.WAITING and self.reason == Reason.TOLD_TO_WORKER
        return waits and self.pod_uid is not None

    @property
    def with_worker(self) -> bool:
        """Whether a worker has the newest attempt, or is told it ahead."""
        return (self.state is PhaseState.RUNNING and self.pod_uid is not None) or self.told_ahead


class JobOutput(OutputRef):
    """A published file and the phase that made it. Its key is the folder of that phase's manifest, plus the file."""

    phase: Annotated[PhaseName, Field(description="phase that published the file.")]
    verified: Annotated[
        bool | None,
        Field(description="verified is true once a phase that read the file found this sha256 in its bytes."),
    ] = None


class JobWarning(StatusModel):
    """What a phase that succeeded could not do."""

    phase: Annotated[PhaseName, Field(description="phase that gives the warning.")]
    message: Annotated[WarningText, Field(description="message says what is missing or different, and why.")]


class ResolvedSource(StatusModel):
    """What spec.source.jobRef led to, kept because that job may be deleted before this one has ended."""

    manifest: Annotated[ManifestRef, Field(description="manifest that lists the output.")]
    output: Annotated[str, Field(max_length=63, description="output of that manifest.")]
    sha256: Annotated[Sha256 | None, Field(description="sha256 of its content.")] = None
    verified: Annotated[
        bool | None,
        Field(description="verified is true once a phase that read the output found this sha256 in its bytes."),
    ] = None
    duration_milliseconds: (
        Annotated[int, Field(ge=0, le=2**53, description="durationMilliseconds is how long it plays.")] | None
    ) = None


class JobError(StatusModel):
    """Why a job failed, for people: one sentence each."""

    phase: Annotated[PhaseName | None, Field(description="phase that failed, if one did.")] = None
    reason: Annotated[ReasonText, Field(description="reason is one word of docs/reasons.md.")]
    message: Annotated[Message, Field(description="message says what went wrong.")]
    retryable: Annotated[bool, Field(description="retryable says whether a new job with the same spec may work.")] = (
        False
    )
    suggestion: Annotated[Message, Field(description="suggestion says what to do about it.")] = ""
    log_key: Annotated[
        Key | None, Field(description="logKey is the first piece of the attempt's log in the store.")
    ] = None


def _readable_reports(value: object) -> object:
    """A pod wrote these: what cannot be read is passed over, so that no pod makes its AudioJob unreadable."""
    return {phase: report for phase, report in value.items() if _can_be_read(report)} if isinstance(value, dict) else {}


def _can_be_read(report: object) -> bool:
    try:
        PhaseProgressReport.model_validate(report)
    except ValidationError:
        return False
    return True


class AudioJobStatus(StatusModel):
    """What is true of a job. The runner owns ``progress`` and ``percent`` while it works, the operator the rest."""

    model_config = ConfigDict(
        json_schema_extra={
            "default": {"state": "Pending", "percent": 0, "message": "Waiting for the operator"},
            "x-kubernetes-validations": cel(
                (
                    (
                        f"!has(oldSelf.state) || !(oldSelf.state in {TERMINAL_STATES}) || "
                        "(has(self.state) && self.state == oldSelf.state)"
                    ),
                    "a finished job never changes its state",
                ),
                (
                    (
                        "!has(oldSelf.phases) || (has(self.phases) && oldSelf.phases.all(o, "
                        "self.phases.exists(n, n.name == o.name && n.attempt >= o.attempt)))"
                    ),
                    "phases are never removed and attempts never go back",
                ),
            ),
        }
    )

    observed_generation: Annotated[
        Generation | None, Field(description="observedGeneration is the spec that the status was decided from.")
    ] = None
    state: Annotated[
        State,
        Field(
            description="state is Pending, Queued, Running, Suspended, Succeeded, Failed or Cancelled: the conditions "
            "in one word."
        ),
    ] = State.PENDING
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=8,
            description="conditions as in batch/v1: Complete and Failed end the job.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    start_time: Annotated[Time | None, Field(description="startTime is when the first phase started.")] = None
    completion_time: Annotated[Time | None, Field(description="completionTime is when the job ended.")] = None
    percent: Annotated[int, Field(ge=0, le=100, description="percent of the work that is done, for display only.")] = 0
    message: Annotated[Message | None, Field(description="message says in a sentence where the job stands.")] = None
    waiting_for: Annotated[
        ObjectName | None, Field(description="waitingFor is the AudioJob whose end this one waits for.")
    ] = None
    phase: (
        Annotated[
            str, Field(max_length=MAX_PHASE_NAME, description="phase is the name of the phase that runs or ran last.")
        ]
        | None
    ) = None
    node_name: Annotated[
        Annotated[str, Field(max_length=253)] | None,
        Field(description="nodeName is the node of the phase that runs or ran last, known from its first progress on."),
    ] = None
    wait_start_time: Annotated[
        Time | None,
        Field(description="waitStartTime is since when the job waits for what message says, before its start."),
    ] = None
    pipeline_revision: Annotated[
        Annotated[str, Field(max_length=253)] | None,
        Field(description="pipelineRevision is the ControllerRevision with the pipeline as it was at the start."),
    ] = None
    source: Annotated[
        ResolvedSource | None, Field(description="source is what spec.source.jobRef led to when the job started.")
    ] = None
    output_prefix: Annotated[
        Key | None,
        Field(
            description="outputPrefix is the job's folder in the store; where all phases were reused, that of the job "
            "that did the work."
        ),
    ] = None
    phases: Annotated[
        tuple[PhaseStatus, ...],
        Field(
            max_length=MAX_PHASES,
            description="phases of the pipeline, in its order.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    outputs: Annotated[
        tuple[JobOutput, ...],
        Field(
            max_length=MAX_STATUS_OUTPUTS,
            description="outputs lists the first 24 published files; the manifests list all.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    warnings: Annotated[
        tuple[JobWarning, ...],
        Field(
            max_length=MAX_STATUS_WARNINGS,
            description="warnings lists the first 10 things that phases which succeeded could not do.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    error: Annotated[JobError | None, Field(description="error says why the job failed.")] = None
    progress: Annotated[
        dict[str, PhaseProgressReport],
        Field(max_length=MAX_PHASES, description="progress by phase, written by the phase's own pod."),
        BeforeValidator(_readable_reports),
    ] = Field(default_factory=dict)
