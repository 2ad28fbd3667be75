"""AudioPipeline: the phases of a kind of work, and how they run. Written by administrators; the chart ships some."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from audiojob_types.base import ObjectName, StatusModel, WireModel, cel
from audiojob_types.constants import API_VERSION, MAX_PHASE_NAME, MAX_PHASES
from audiojob_types.descriptor import Reuse
from audiojob_types.parameters import parameters_schema
from audiojob_types.resources.fields import Atomic, Generation
from audiojob_types.resources.job import PhaseName, Retry
from audiojob_types.resources.metadata import Metadata
from audiojob_types.resources.podtemplate import Gpu, Resources, Templates
from audiojob_types.tasks import Task

_LONGEST = "maxDurationSeconds refuses inputs that play longer"


class PhaseInputBinding(WireModel):
    """One input of a phase: the job's source, one of the job's inputs, or an output of an earlier phase."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z][-a-z0-9]*$",
            min_length=1,
            max_length=63,
            description="name by which the task asks for it.",
        ),
    ]
    from_: Annotated[
        str,
        Field(
            alias="from",
            pattern=r"^(Job|[a-z]([-a-z0-9]*[a-z0-9])?)$",
            max_length=MAX_PHASE_NAME,
            description="from is Job (its source, or one of its inputs) or the name of an earlier phase.",
        ),
    ]
    output: (
        Annotated[
            str,
            Field(
                pattern=r"^(\*|[a-z0-9][-_.a-z0-9]*)$",
                max_length=63,
                description="output of that phase (default: its only one); with from Job, the name of one of the "
                "job's inputs (default: the job's source). '*' is all of them, each under its own name: all outputs of "
                "that phase, or all inputs of the job that the phase does not name; for tasks that take any input.",
            ),
        ]
        | None
    ) = None
    optional: Annotated[bool, Field(description="optional inputs may be absent.")] = False


class EnvironmentVariable(WireModel):
    """A variable of the program of a Container phase. Secrets have no place in it."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=63, description="name of the variable."),
    ]
    value: Annotated[str, Field(max_length=1_024, description="value of the variable.")] = ""


class WorkerPoolUse(WireModel):
    """The pool of a phase."""

    name: Annotated[ObjectName, Field(description="name of an AudioWorkerPool in the job's namespace.")]
    fallback_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=604_800,
            description="fallbackSeconds is how long the phase waits for a worker before it takes a Job of its own; a "
            "pool that is missing or closed is not waited for longer. Default 300.",
        ),
    ] = 300


_REUSED = [task.value for task in Task if task.descriptor.reuse is Reuse.BY_DEFAULT]
_REUSED_BY_DEFAULT = f"{', '.join(_REUSED[:-1])} and {_REUSED[-1]}"
_PROGRAM_FIELDS = ("image", "command", "args", "env", "exitCodes")


class Phase(WireModel):
    """One step. Users choose what runs; everything about how it runs is here."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    (
                        "!has(self.softLimitSeconds) || !has(self.hardLimitSeconds) || "
                        "self.softLimitSeconds < self.hardLimitSeconds"
                    ),
                    "softLimitSeconds must be below hardLimitSeconds",
                ),
                (
                    "self.task != 'Container' || has(self.image)",
                    "a phase with task Container needs an image, the one with your program",
                ),
                (
                    f"self.task == 'Container' || !({' || '.join(f'has(self.{name})' for name in _PROGRAM_FIELDS)})",
                    f"{', '.join(_PROGRAM_FIELDS)} must be left out unless task is Container",
                ),
                (
                    "!has(self.gpu) || !has(self.gpu.shared) || !self.gpu.shared || self.gpus == 1",
                    "gpus must be 1 where gpu.shared is true: two shares may be the same GPU",
                ),
            )
        }
    )

    name: Annotated[PhaseName, Field(description=f"name of the phase, at most {MAX_PHASE_NAME} characters.")]
    task: Annotated[Task, Field(description="task is the code that runs.")]
    image: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-zA-Z0-9][-._:@/a-zA-Z0-9]*$",
                min_length=1,
                max_length=512,
                description="image with the program of a Container phase; by digest it is always the same one.",
            ),
        ]
        | None
    ) = None
    command: (
        Annotated[
            tuple[Annotated[str, Field(max_length=4_096)], ...],
            Field(max_length=64, json_schema_extra=Atomic, description="command; default: the image's entry point."),
        ]
        | None
    ) = None
    args: (
        Annotated[
            tuple[Annotated[str, Field(max_length=4_096)], ...],
            Field(max_length=64, json_schema_extra=Atomic, description="args of the command; default: the image's."),
        ]
        | None
    ) = None
    env: (
        Annotated[
            tuple[EnvironmentVariable, ...],
            Field(
                max_length=32,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
                description="env of the program.",
            ),
        ]
        | None
    ) = None
    exit_codes: (
        Annotated[
            Literal["Retry", "Contract"],
            Field(
                description="exitCodes: with Retry (the default) every failure of the program is tried again; with "
                "Contract its exit code says what follows, by the table of docs/custom-tasks.md."
            ),
        ]
        | None
    ) = None
    after: (
        Annotated[
            tuple[PhaseName, ...],
            Field(
                max_length=MAX_PHASES,
                json_schema_extra=Atomic,
                description="after lists earlier phases to wait for. Default: the one before.",
            ),
        ]
        | None
    ) = None
    inputs: Annotated[
        tuple[PhaseInputBinding, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            description="inputs of the task.",
        ),
    ] = ()
    weight: Annotated[int, Field(ge=1, le=1_000, description="weight of the phase in the job's percent.")] = 1
    device: Annotated[
        Literal["Auto", "GPU", "CPU"],
        Field(description="device: CPU, or Auto or GPU for phases that can use a GPU."),
    ] = "CPU"
    gpus: Annotated[int, Field(ge=1, le=16, description="gpus asked for when the phase runs on a GPU.")] = 1
    gpu: Annotated[Gpu, Field(description="gpu is the kind of GPU that is asked for.")] | None = None
    gpu_wait_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=604_800,
            description="gpuWaitSeconds is how long device Auto waits for a GPU that is in use before it takes the "
            "CPU. Default 600.",
        ),
    ] = 600
    gate: (
        Annotated[
            Literal["Review", "ReviewIfAsked"],
            Field(
                description="gate Review stops the job before the phase until spec.reviews approves it; ReviewIfAsked "
                "stops only if a phase that it comes after or reads from has asked for that in its result."
            ),
        ]
        | None
    ) = None
    review_timeout_seconds: Annotated[
        int,
        Field(ge=1, le=31_536_000, description="reviewTimeoutSeconds fails a job that nobody reviews. Default 604800."),
    ] = 604_800
    resources: Annotated[Resources, Field(description="resources of one attempt.")] = Resources()
    hard_limit_seconds: (
        Annotated[
            int,
            Field(
                ge=1,
                le=2_592_000,
                description="hardLimitSeconds kills an attempt, counted from the start of its pod.",
            ),
        ]
        | None
    ) = None
    soft_limit_seconds: (
        Annotated[
            int,
            Field(ge=1, le=2_592_000, description="softLimitSeconds ends an attempt with time to clean up."),
        ]
        | None
    ) = None
    stall_seconds: (
        Annotated[int, Field(ge=1, le=86_400, description="stallSeconds ends an attempt that makes no progress.")]
        | None
    ) = None
    max_duration_seconds: (
        Annotated[int, Field(ge=1, le=604_800, description=f"{_LONGEST}, whatever the job's parameters say.")] | None
    ) = None
    start_timeout_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="startTimeoutSeconds fails an attempt whose pod cannot start for a lack of image, volume or "
            "Secret. Default 300.",
        ),
    ] = 300
    retry: Annotated[Retry, Field(description="retry policy of the phase.")] | None = None
    reuse: (
        Annotated[
            Literal["Allowed", "Never"],
            Field(
                description="reuse of what other jobs have made of the same input. Default: Allowed for "
                f"{_REUSED_BY_DEFAULT}, else Never."
            ),
        ]
        | None
    ) = None
    overlap: (
        Annotated[
            Literal["Auto", "Never"],
            Field(description="overlap: Auto (the default) lets the pod begin and load while the phase before works."),
        ]
        | None
    ) = None
    worker_pool: (
        Annotated[
            WorkerPoolUse,
            Field(description="workerPool lets a worker that stays do the work, in place of a pod of its own."),
        ]
        | None
    ) = None
    parameters: Annotated[
        Annotated[dict[str, dict[str, Any]], WithJsonSchema(parameters_schema())] | None,
        Field(description="parameters that jobs start from; only the member of the phase's task counts."),
    ] = None


class AudioPipelineSpec(WireModel):
    """The phases and their defaults. Running jobs keep the revision that they started with."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    (
                        "self.phases.all(i, p, !has(p.after) || "
                        "p.after.all(a, self.phases.exists(j, q, j < i && q.name == a)))"
                    ),
                    "after must name phases that come earlier in the list",
                ),
                (
                    (
                        "self.phases.all(i, p, !has(p.inputs) || p.inputs.all(b, b.from == 'Job' || "
                        "self.phases.exists(j, q, j < i && q.name == b.from)))"
                    ),
                    "inputs[].from must be Job or the name of a phase that comes earlier in the list",
                ),
                (
                    (
                        "self.phases.all(i, p, !has(p.gate) || p.gate != 'ReviewIfAsked' || "
                        "(has(p.after) ? p.after.size() > 0 : i > 0) || "
                        "(has(p.inputs) && p.inputs.exists(b, b.from != 'Job')))"
                    ),
                    "gate ReviewIfAsked needs an earlier phase that may ask: one in after, or one in inputs[].from",
                ),
            )
        }
    )

    phases: Annotated[
        tuple[Phase, ...],
        Field(
            min_length=1,
            max_length=MAX_PHASES,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            description="phases in order.",
        ),
    ]
    templates: Annotated[Templates, Field(description="templates of the pods by device.")] = Templates()
    priority: Annotated[int, Field(ge=1, le=10, description="priority of jobs that name none.")] | None = None
    retry: Annotated[Retry, Field(description="retry policy of phases that name none.")] | None = None
    active_deadline_seconds: (
        Annotated[int, Field(ge=1, le=2_592_000, description="activeDeadlineSeconds of jobs that name none.")] | None
    ) = None
    ttl_seconds_after_finished: (
        Annotated[int, Field(ge=0, le=31_536_000, description="ttlSecondsAfterFinished of jobs that name none.")] | None
    ) = None
    retention_seconds: (
        Annotated[
            int,
            Field(
                ge=1,
                le=315_360_000,
                description="retentionSeconds until results may be swept; absent keeps them for ever.",
            ),
        ]
        | None
    ) = None
    intermediate_retention_seconds: (
        Annotated[
            int,
            Field(
                ge=1,
                le=315_360_000,
                description="intermediateRetentionSeconds until files that only later phases read, such as normalized "
                "audio, may be swept; never longer than retentionSeconds. Default 604800, a week.",
            ),
        ]
        | None
    ) = None


class AudioPipelineStatus(StatusModel):
    """What the list of spec cannot show in a column; written by the operator when it differs."""

    observed_generation: Annotated[
        Generation | None, Field(description="observedGeneration is the spec that the status belongs to.")
    ] = None
    phases: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="phases are the names of all phases in order, for kubectl get."),
    ] = None


class AudioPipeline(StatusModel):
    """The whole resource. Parse with ``AudioPipeline.model_validate(obj)``."""

    api_version: str = API_VERSION
    kind: Literal["AudioPipeline"] = "AudioPipeline"
    metadata: Metadata
    spec: AudioPipelineSpec
    status: AudioPipelineStatus = AudioPipelineStatus()
