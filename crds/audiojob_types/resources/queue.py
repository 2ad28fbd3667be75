"""AudioQueue: how much of the capacity the jobs of a namespace may use at once. Written by administrators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from audiojob_types.base import ObjectName, StatusModel, WireModel, cel
from audiojob_types.constants import API_VERSION
from audiojob_types.resources.fields import Generation
from audiojob_types.resources.metadata import Metadata

DEFAULT_WEIGHT = 10
_COUNT = 2**31 - 1


class AudioQueueSpec(WireModel):
    """Limits and order. What is left out does not limit."""

    max_running: (
        Annotated[
            int,
            Field(
                ge=0,
                le=100_000,
                description="maxRunning is the number of AudioJobs that may be started and not finished.",
                json_schema_extra={
                    "x-kubernetes-validations": cel(
                        ("self >= 1", "maxRunning must be at least 1; to stop a queue, set stopPolicy to Hold"),
                    )
                },
            ),
        ]
        | None
    ) = None
    max_gpus: Annotated[
        Annotated[int, Field(ge=0, le=100_000)] | None,
        Field(
            alias="maxGPUs",
            description="maxGPUs is the number of GPUs that the queue's phases may use at once. 0: none.",
        ),
    ] = None
    max_running_per_user: (
        Annotated[
            int,
            Field(
                ge=1,
                le=100_000,
                description="maxRunningPerUser is the number of AudioJobs of one user (label audiojobs.dev/user) that "
                "may be started and not finished. Jobs without the label count as one user.",
            ),
        ]
        | None
    ) = None
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=1_000,
            description="weight of the queue's share of the capacity against that of other queues. Default 10.",
            json_schema_extra={
                "x-kubernetes-validations": cel(
                    ("self >= 1", "weight must be at least 1; to stop a queue, set stopPolicy to Hold"),
                )
            },
        ),
    ] = DEFAULT_WEIGHT
    stop_policy: Annotated[
        Literal["None", "Hold", "HoldAndDrain"],
        Field(
            description="stopPolicy Hold lets no job start and lets those that run finish; HoldAndDrain also takes "
            "running attempts back: their jobs wait, and go on when it is None again."
        ),
    ] = "None"
    kueue_local_queue: (
        Annotated[
            ObjectName,
            Field(description="kueueLocalQueue hands the Jobs to that LocalQueue of Kueue; maxGPUs is then ignored."),
        ]
        | None
    ) = None


class AudioQueueStatus(StatusModel):
    """Live numbers, written by the operator up to five times at once, then at most once in five seconds."""

    observed_generation: Annotated[
        Generation | None, Field(description="observedGeneration is the spec that the numbers belong to.")
    ] = None
    running: Annotated[int, Field(ge=0, le=_COUNT, description="running AudioJobs: started and not finished.")] = 0
    pending: Annotated[int, Field(ge=0, le=_COUNT, description="pending AudioJobs wait for their start.")] = 0
    gpus: Annotated[int, Field(ge=0, le=_COUNT, description="gpus in use by live phases.")] = 0
    message: Annotated[
        Annotated[str, Field(max_length=1_024)] | None, Field(description="message says what the queue does.")
    ] = None


class AudioQueue(StatusModel):
    """The whole resource. Parse with ``AudioQueue.model_validate(obj)``."""

    api_version: str = API_VERSION
    kind: Literal["AudioQueue"] = "AudioQueue"
    metadata: Metadata
    spec: AudioQueueSpec = AudioQueueSpec()
    status: AudioQueueStatus = AudioQueueStatus()
