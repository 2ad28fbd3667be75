"""Pods of an AudioPipeline: what they get, and where they run: node selectors, tolerations, classes, kinds of GPU."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from audiojob_types.base import WireModel, cel
from audiojob_types.constants import GPU_RESOURCE_PATTERN
from audiojob_types.resources.fields import Atomic

_QUANTITY = r"^([0-9]+)(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Quantity = Annotated[str, Field(pattern=_QUANTITY, max_length=32)]


class Resources(WireModel):
    """What one attempt gets. Requests equal limits for memory, so that the node never takes it back."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "!has(self.cpuLimit) || quantity(self.cpuLimit).compareTo(quantity(self.cpu)) >= 0",
                    "cpuLimit must not be below cpu",
                ),
                (
                    "!has(self.memoryCap) || quantity(self.memoryCap).compareTo(quantity(self.memory)) >= 0",
                    "memoryCap must not be below memory",
                ),
            )
        }
    )

    cpu: Annotated[Quantity, Field(description="cpu requested.")] = "500m"
    cpu_limit: Annotated[Quantity, Field(description="cpuLimit; absent means no limit.")] | None = None
    memory: Annotated[Quantity, Field(description="memory requested and allowed.")] = "512Mi"
    memory_per_minute: (
        Annotated[Quantity, Field(description="memoryPerMinute is added for each minute that the longest input plays.")]
        | None
    ) = None
    memory_growth_percent: Annotated[
        int,
        Field(
            ge=1,
            le=900,
            description="memoryGrowthPercent is how much more an attempt gets after one that ran out of memory. "
            "Default 100.",
        ),
    ] = 100
    memory_cap: (
        Annotated[
            Quantity,
            Field(description="memoryCap is the most that an attempt may get. Default: memory never grows."),
        ]
        | None
    ) = None
    scratch: Annotated[Quantity, Field(description="scratch is the size of the scratch disk.")] = "2Gi"


class Toleration(WireModel):
    """core/v1 Toleration."""

    key: Annotated[str, Field(max_length=316, description="key of the taint; absent with Exists: all.")] | None = None
    operator: Annotated[Literal["Exists", "Equal"], Field(description="operator is Exists or Equal.")] = "Equal"
    value: Annotated[str, Field(max_length=63, description="value of the taint, with Equal.")] | None = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="effect is NoSchedule, PreferNoSchedule or NoExecute; absent means all."),
    ] = None


class PodTemplate(WireModel):
    """Where pods of one device run."""

    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=16, description="nodeSelector of the pods."),
    ] = Field(default_factory=dict)
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=16, json_schema_extra=Atomic, description="tolerations of the pods."),
    ] = ()
    runtime_class_name: (
        Annotated[str, Field(max_length=253, description="runtimeClassName of the pods, such as nvidia.")] | None
    ) = None
    priority_class_name: Annotated[str, Field(max_length=253, description="priorityClassName of the pods.")] | None = (
        None
    )


class Templates(WireModel):
    """Pod templates by device."""

    cpu: Annotated[PodTemplate, Field(description="cpu is for phases on the CPU.")] | None = None
    gpu: Annotated[PodTemplate, Field(description="gpu is for phases on a GPU.")] | None = None


GpuResource = Annotated[str, Field(pattern=GPU_RESOURCE_PATTERN, max_length=253)]


class Gpu(WireModel):
    """The kind of GPU, in place of the one that the administrator has set for all phases."""

    resource_name: (
        Annotated[
            GpuResource,
            Field(
                description="resourceName is the resource of nodes that is asked for, such as amd.com/gpu or "
                "nvidia.com/mig-1g.10gb. Default: gpu.resourceName of the chart."
            ),
        ]
        | None
    ) = None
    shared: (
        Annotated[
            bool,
            Field(
                description="shared: several pods share one GPU under this name, so a phase gets one at most. Default: "
                "gpu.shared of the chart, and false where resourceName is given."
            ),
        ]
        | None
    ) = None
