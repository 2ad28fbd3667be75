"""AudioWorkerPool: pods that stay and run phases of several AudioJobs in turn. Written by administrators."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from audiojob_types.base import ObjectName, StatusModel, Time, WireModel, cel
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import Device
from audiojob_types.descriptor import Served
from audiojob_types.resources.fields import Atomic, Generation
from audiojob_types.resources.metadata import Metadata
from audiojob_types.resources.podtemplate import Gpu, PodTemplate, Resources
from audiojob_types.tasks import Task
from audiojob_types.workers.order import MAX_PRELOADED, ModelName

MAX_WORKERS: Final = 1_000
_COUNT: Final = 2**31 - 1
SERVED_TASKS: Final = tuple(task for task in Task if task.descriptor.served is not Served.NEVER)


def _served(task: Task) -> Task:
    if task not in SERVED_TASKS:
        raise ValueError(f"workers never run {task.value}; they run {', '.join(each.value for each in SERVED_TASKS)}")
    return task


ServedTask = Annotated[
    Task,
    AfterValidator(_served),
    WithJsonSchema({"type": "string", "enum": [task.value for task in SERVED_TASKS]}),
]


class Preload(WireModel):
    """What a worker loads before its first phase."""

    models: Annotated[
        tuple[ModelName, ...],
        Field(max_length=MAX_PRELOADED, json_schema_extra=Atomic, description="models to load, by name."),
    ] = ()


class AudioWorkerPoolSpec(WireModel):
    """What the workers may run, what each of them gets, and how many there are."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    (
                        "!has(self.minWorkers) || !has(self.maxWorkers) || self.maxWorkers == 0 || "
                        "self.minWorkers <= self.maxWorkers"
                    ),
                    "minWorkers must not be above maxWorkers",
                ),
                (
                    (
                        "!has(self.scaleDownQueueDepth) || !has(self.scaleUpQueueDepth) || "
                        "self.scaleDownQueueDepth < self.scaleUpQueueDepth"
                    ),
                    "scaleDownQueueDepth must be below scaleUpQueueDepth",
                ),
            )
        }
    )

    tasks: Annotated[
        tuple[ServedTask, ...],
        Field(min_length=1, max_length=len(SERVED_TASKS), json_schema_extra=Atomic, description="tasks that it runs."),
    ]
    device: Annotated[Literal["CPU", "GPU"], Field(description="device of the workers: CPU or GPU.")] = "CPU"
    gpus: Annotated[int, Field(ge=1, le=16, description="gpus of each worker, with device GPU.")] = 1
    gpu: Annotated[Gpu, Field(description="gpu is the kind of GPU that is asked for.")] | None = None
    resources: Annotated[
        Resources, Field(description="resources of a worker: cpu, cpuLimit, memory and scratch count; it never grows.")
    ] = Resources()
    preload: Annotated[Preload, Field(description="preload is what a worker loads before its first phase.")] = Preload()
    template: Annotated[PodTemplate, Field(description="template says where the workers run.")] | None = None
    min_workers: Annotated[
        int, Field(ge=0, le=MAX_WORKERS, description="minWorkers stay also without work. Default 0.")
    ] = 0
    max_workers: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_WORKERS,
            description="maxWorkers is the most at the same time; an autoscaler may set it. 0 closes the pool: phases "
            "at work end, others take Jobs of their own. Default 1.",
        ),
    ] = 1
    idle_seconds: Annotated[
        int, Field(ge=1, le=86_400, description="idleSeconds without work end a worker above minWorkers. Default 60.")
    ] = 60
    max_phases: Annotated[
        int, Field(ge=1, le=100_000, description="maxPhases: a worker ends after so many phases. Default 100.")
    ] = 100
    max_age_seconds: (
        Annotated[
            int,
            Field(ge=1, le=31_536_000, description="maxAgeSeconds: a worker takes no phase when it is older."),
        ]
        | None
    ) = None
    scale_up_queue_depth: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="scaleUpQueueDepth phases that wait are worth one more worker. Default 1.",
        ),
    ] = 1
    scale_down_queue_depth: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="scaleDownQueueDepth: while more phases wait than that, no idle worker ends. Default 0.",
        ),
    ] = 0
    trust: Annotated[
        Literal["OwnInputs", "AnyInput"],
        Field(
            description="trust OwnInputs: only phases whose media Normalize has written in the same AudioJob. "
            "AnyInput: any file; a file that takes a worker over may then reach the other jobs' files that it is given."
        ),
    ] = "OwnInputs"
    kueue_local_queue: (
        Annotated[
            ObjectName,
            Field(description="kueueLocalQueue hands the workers' Jobs to that LocalQueue of Kueue."),
        ]
        | None
    ) = None


class AudioWorkerPoolStatus(StatusModel):
    """Live numbers, written by the operator up to five times at once, then at most once in five seconds."""

    observed_generation: Annotated[
        Generation | None, Field(description="observedGeneration is the spec that the numbers belong to.")
    ] = None
    workers: Annotated[int, Field(ge=0, le=_COUNT, description="workers that live: starting, idle or busy.")] = 0
    starting: Annotated[int, Field(ge=0, le=_COUNT, description="starting workers cannot take a phase yet.")] = 0
    idle: Annotated[int, Field(ge=0, le=_COUNT, description="idle workers wait for a phase.")] = 0
    busy: Annotated[int, Field(ge=0, le=_COUNT, description="busy workers have a phase.")] = 0
    desired: Annotated[int, Field(ge=0, le=_COUNT, description="desired is how many there should be.")] = 0
    waiting: Annotated[int, Field(ge=0, le=_COUNT, description="waiting phases have no worker yet.")] = 0
    phases_done: Annotated[int, Field(ge=0, le=2**53, description="phasesDone by workers of the pool that ended.")] = 0
    next_number: Annotated[
        int, Field(ge=0, le=2**53, description="nextNumber is that of the next worker: none is given twice.")
    ] = 0
    last_scale_time: Annotated[Time | None, Field(description="lastScaleTime is when desired last changed.")] = None
    selector: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="selector of the workers' pods."),
    ] = None
    message: Annotated[
        Annotated[str, Field(max_length=1_024)] | None, Field(description="message says what the pool does.")
    ] = None


class AudioWorkerPool(StatusModel):
    """The whole resource. Parse with ``AudioWorkerPool.read(obj)``."""

    api_version: str = API_VERSION
    kind: Literal["AudioWorkerPool"] = "AudioWorkerPool"
    metadata: Metadata
    spec: AudioWorkerPoolSpec
    status: AudioWorkerPoolStatus = AudioWorkerPoolStatus()

    @property
    def runs_on(self) -> Device:
        """The device of its workers."""
        return Device(self.spec.device)
