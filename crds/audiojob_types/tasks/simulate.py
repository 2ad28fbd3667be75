"""Simulate: work that only takes time, memory and space, and fails on request. For tests and benchmarks."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.base import Since
from audiojob_types.descriptor import UNKNOWN, Input, Output, Reuse, Served, TaskDescriptor, TaskParameters
from audiojob_types.outside.question import MAX_QUESTION_CHARACTERS


class SimulateParameters(TaskParameters):
    """What a simulated phase does. Defaults: succeed at once with one small output."""

    duration_milliseconds: Annotated[
        int,
        Field(ge=0, le=86_400_000, description="durationMilliseconds is how long the work takes. Default 0."),
    ] = 0
    progress_steps: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="progressSteps is the number of progress steps in that time. Default 10.",
        ),
    ] = 10
    output_bytes: Annotated[
        int,
        Field(ge=0, le=10_737_418_240, description="outputBytes is the size of the output file. Default 64."),
    ] = 64
    memory_mebibytes: Annotated[
        int,
        Field(
            ge=0,
            le=1_048_576,
            description="memoryMebibytes is allocated and touched before the work. Default 0.",
        ),
    ] = 0
    # None and not 0, as what earlier versions published stays the same work.
    gpu_memory_mebibytes: Annotated[
        Annotated[
            int,
            Field(
                ge=0,
                le=1_048_576,
                description="gpuMemoryMebibytes is told as the GPU memory used, where there is a GPU; nothing is "
                "allocated. Default 0.",
            ),
        ]
        | None,
        Since(2),
    ] = None
    media_milliseconds: Annotated[
        Annotated[
            int,
            Field(
                ge=0,
                le=604_800_000,
                description="mediaMilliseconds is told as the length of the sound worked on. Default 0.",
            ),
        ]
        | None,
        Since(2),
    ] = None
    review_asked: Annotated[
        Annotated[
            str,
            Field(
                max_length=MAX_QUESTION_CHARACTERS,
                description="reviewAsked is what the phase asks people about its result. Default: it asks nothing.",
            ),
        ]
        | None,
        Since(2),
    ] = None
    exit_code: Annotated[
        int,
        Field(
            ge=0,
            le=255,
            description="exitCode of failing attempts; 0 means that none fails. Default 0.",
        ),
    ] = 0
    fail_attempts: Annotated[
        int,
        Field(
            ge=0,
            le=1_000,
            description="failAttempts is how many attempts fail with exitCode; 0 means all. Default 0.",
        ),
    ] = 0
    fail_percent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="failPercent fails this share of attempts, chosen by a hash of job and attempt. Default 0.",
        ),
    ] = 0
    stall_after_percent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="stallAfterPercent stops all progress at that point, for good; 100 means never. Default 100.",
        ),
    ] = 100
    exit_after_publishing: Annotated[
        bool,
        Field(
            description="exitAfterPublishing kills the process, on the first attempt, between publishing and its "
            "result, as a crash at the worst moment would. Default false."
        ),
    ] = False


TASK: Final = TaskDescriptor(
    name="Simulate",
    summary="Takes time, memory and space, reports progress and fails on request; for trying out a cluster.",
    page="simulate.md",
    parameters=SimulateParameters,
    inputs=(Input("*", ("*/*",), optional=True),),
    outputs=(Output("output", (UNKNOWN,)),),
    reuse=Reuse.IF_ALLOWED,
    served=Served.OWN_INPUTS,
    uses_gpu=True,  # it asks for one and leaves it idle
)
