"""AudioPipelines that a real API server takes, and those that it refuses with a sentence that helps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

from audiojob_types.resources.pipeline import AudioPipelineSpec

pytestmark = pytest.mark.integration

Spec = dict[str, Any]


def phase(name: str, task: str = "Simulate", **others: Any) -> dict[str, Any]:
    return {"name": name, "task": task, **others}


def one(**others: Any) -> Spec:
    """A pipeline of one phase with these fields."""
    return {"phases": [phase("only", **others)]}


def chain(*after: list[str] | None) -> Spec:
    """Phases a, b, c, … with these `after` lists."""
    names = "abcdefgh"[: len(after)]
    return {"phases": [phase(n) | ({} if a is None else {"after": a}) for n, a in zip(names, after, strict=True)]}


VALUES = {f"v{n}": "x" * 1_024 for n in range(32)}
ACCEPTED: dict[str, Spec] = {
    "one phase": one(),
    "phases in a row": chain(None, None, None),
    "a diamond": chain(None, ["a"], ["a"], ["b", "c"]),
    "a phase that waits for nothing": chain(None, []),
    "inputs from the job and an earlier phase": {
        "phases": [
            phase("get", "Download", inputs=[{"name": "source", "from": "Job"}]),
            phase("norm", "Normalize", inputs=[{"name": "source", "from": "get", "output": "source"}]),
        ]
    },
    "a slice of a GPU": one(device="GPU", gpu={"resourceName": "nvidia.com/mig-1g.10gb"}),
    "two GPUs of a maker": one(device="GPU", gpus=2, gpu={"resourceName": "gpu.intel.com/i915", "shared": False}),
    "a gate": {"phases": [phase("a"), phase("b", gate="Review", reviewTimeoutSeconds=60)]},
    "gates that listen to phases before them": {
        "phases": [
            phase("a"),
            phase("b", gate="ReviewIfAsked"),
            phase("c", gate="ReviewIfAsked", after=["a"]),
            phase("d", gate="ReviewIfAsked", after=[], inputs=[{"name": "x", "from": "a"}]),
        ]
    },
    "a phase whose results serve nobody else": one(reuse="Never"),
    "no waiting for a GPU": one(device="Auto", gpuWaitSeconds=0),
    "a week of waiting for a GPU": one(device="Auto", gpuWaitSeconds=604_800),
    "memory that grows with the input and after a failure": one(
        resources={"memory": "1Gi", "memoryPerMinute": "64Mi", "memoryGrowthPercent": 50, "memoryCap": "4Gi"}
    ),
    "a cap that is the memory in another unit": one(resources={"memory": "1Gi", "memoryCap": "1024Mi"}),
    "a CPU limit that is the CPU in another unit": one(resources={"cpu": "1500m", "cpuLimit": "1.5"}),
    "everything": {
        "phases": [
            phase(
                "separate", "Separate", weight=80, device="Auto", gpus=1,
                resources={"cpu": "2", "cpuLimit": "4", "memory": "8Gi", "scratch": "10Gi"},
                softLimitSeconds=10, hardLimitSeconds=20, stallSeconds=5, startTimeoutSeconds=60,
                retry={"limit": 2}, parameters={"separate": {"model": "htdemucs"}},
            )
        ],
        "templates": {
            "cpu": {"nodeSelector": {"disk": "ssd"}},
            "gpu": {
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "runtimeClassName": "nvidia", "priorityClassName": "audio",
            },
        },
        "priority": 3, "retry": {}, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 60, "retentionSeconds": 60,
    },
    "a program of the administrator's": one(
        task="Container", image="registry.example.org:5000/team/speak:1@sha256:" + "0" * 64, command=["speak"],
        args=["--slowly", ""], env=[{"name": "LANG", "value": "C.UTF-8"}, {"name": "EMPTY"}], exitCodes="Contract",
        inputs=[{"name": "script", "from": "Job", "output": "script"}],
        parameters={"container": {"values": {"voice": "en", "Speed_2": ""}}}, hardLimitSeconds=60, stallSeconds=30,
    ),
    "a program that is its image's own": one(task="Container", image="speak"),
    "16 programs with 32 values each": {
        "phases": [
            phase(f"p{n}", "Container", image="x", parameters={"container": {"values": VALUES}}) for n in range(16)
        ]
    },
    "whatever the job brings along": one(
        task="Compose", inputs=[{"name": "media", "from": "Job", "output": "*"}]
    ),
    "16 phases": {"phases": [phase(f"p{n}") for n in range(16)]},
    "a phase name of 12 characters": {"phases": [phase("abcdefghijkl")]},
}  # fmt: skip


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(resources: Resources, body: Spec) -> None:
    answer = resources.try_pipeline(body)
    assert answer.status == 200, answer.message


EARLIER = "phases that come earlier"
REFUSED: dict[str, tuple[Spec, list[str]]] = {
    "no phases": ({"phases": []}, ["spec.phases"]),
    "17 phases": ({"phases": [phase(f"p{n}") for n in range(17)]}, ["spec.phases", "at most 16"]),
    "two phases of a name": ({"phases": [phase("a"), phase("a")]}, ["spec.phases[1]", "Duplicate"]),
    "a phase after itself": (chain(["a"]), ["after", EARLIER]),
    "a cycle of two": (chain(["b"], ["a"]), ["after", EARLIER]),
    "a phase after a later one": (chain(None, ["c"], None), ["after", EARLIER]),
    "a phase after an unknown one": (chain(None, ["ghost"]), ["after", EARLIER]),
    "an input from a later phase": (
        {"phases": [phase("a", inputs=[{"name": "x", "from": "b"}]), phase("b")]},
        ["from must be Job or the name of a phase that comes earlier"],
    ),
    "an input from itself": (one(inputs=[{"name": "x", "from": "only"}]), ["comes earlier in the list"]),
    "an input from an unknown phase": (one(inputs=[{"name": "x", "from": "ghost"}]), ["comes earlier in the list"]),
    "two inputs of a name": (one(inputs=[{"name": "x", "from": "Job"}] * 2), ["inputs[1]", "Duplicate"]),
    "an unknown task": (one() | {"phases": [phase("a", "Mix")]}, ["spec.phases[0].task", "supported values"]),
    "a phase name of 13 characters": ({"phases": [phase("abcdefghijklm")]}, ["spec.phases[0].name", "12"]),
    "a phase name in capitals": ({"phases": [phase("Get")]}, ["spec.phases[0].name"]),
    "a phase name that begins with a digit": ({"phases": [phase("1st")]}, ["spec.phases[0].name"]),
    "a soft limit above the hard one": (
        one(softLimitSeconds=20, hardLimitSeconds=10),
        ["softLimitSeconds must be below hardLimitSeconds"],
    ),
    "memory that is no quantity": (one(resources={"memory": "lots"}), ["spec.phases[0].resources.memory"]),
    "negative memory": (one(resources={"memory": "-1Gi"}), ["spec.phases[0].resources.memory"]),
    "a memory cap below the memory": (
        one(resources={"memory": "2Gi", "memoryCap": "1900Mi"}),
        ["spec.phases[0].resources", "memoryCap must not be below memory"],
    ),
    "a memory cap below the memory that is the default": (
        one(resources={"memoryCap": "256Mi"}),
        ["memoryCap must not be below memory"],
    ),
    "a CPU limit below the CPU": (
        one(resources={"cpu": "2", "cpuLimit": "1900m"}),
        ["spec.phases[0].resources", "cpuLimit must not be below cpu"],
    ),
    "memory that never grows": (
        one(resources={"memoryGrowthPercent": 0}),
        ["spec.phases[0].resources.memoryGrowthPercent", "greater than or equal to 1"],
    ),
    "memory that grows tenfold": (one(resources={"memoryGrowthPercent": 901}), ["memoryGrowthPercent", "900"]),
    "memory for a minute that is no quantity": (one(resources={"memoryPerMinute": "some"}), ["memoryPerMinute"]),
    "a gate of another kind": (one(gate="Payment"), ["spec.phases[0].gate", "supported values", "Review"]),
    "a gate that listens to nobody": (
        one(gate="ReviewIfAsked", inputs=[{"name": "x", "from": "Job"}]),
        ["gate ReviewIfAsked needs an earlier phase that may ask"],
    ),
    "a second phase whose gate listens to nobody": (
        {"phases": [phase("a"), phase("b", gate="ReviewIfAsked", after=[])]},
        ["gate ReviewIfAsked needs an earlier phase that may ask"],
    ),
    "a review without time": (one(reviewTimeoutSeconds=0), ["spec.phases[0].reviewTimeoutSeconds"]),
    "an unknown word on reuse": (one(reuse="Sometimes"), ["spec.phases[0].reuse"]),
    "a GPU waited for less than not": (one(gpuWaitSeconds=-1), ["spec.phases[0].gpuWaitSeconds"]),
    "a GPU waited for longer than a week": (one(gpuWaitSeconds=604_801), ["spec.phases[0].gpuWaitSeconds", "604800"]),
    "priority 0": (one() | {"priority": 0}, ["spec.priority", "greater than or equal to 1"]),
    "priority 11": (one() | {"priority": 11}, ["spec.priority", "less than or equal to 10"]),
    "a phase after itself and others": (chain(None, ["a", "b"]), ["after", EARLIER]),
    "an image for a task of ours": (one(image="evil"), ["image, command, args, env, exitCodes must be left out"]),
    "a command for a task of ours": (one(command=["sh"]), ["must be left out unless task is Container"]),
    "arguments for a task of ours": (one(args=[]), ["must be left out unless task is Container"]),
    "a variable for a task of ours": (one(env=[{"name": "LD_PRELOAD"}]), ["must be left out unless"]),
    "exit codes for a task of ours": (one(exitCodes="Contract"), ["must be left out unless task is Container"]),
    "a program without an image": (one(task="Container"), ["needs an image"]),
    "an image with a space": (one(task="Container", image="a b"), ["spec.phases[0].image"]),
    "an empty image": (one(task="Container", image=""), ["spec.phases[0].image"]),
    "a variable whose name is none": (
        one(task="Container", image="x", env=[{"name": "A-B"}]),
        ["spec.phases[0].env[0].name"],
    ),
    "a variable from a Secret": (
        one(task="Container", image="x", env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        ["unknown field", "valueFrom"],
    ),
    "two variables of a name": (one(task="Container", image="x", env=[{"name": "A"}] * 2), ["env[1]", "Duplicate"]),
    "a volume for a program": (one(task="Container", image="x", volumeMounts=[]), ["unknown field"]),
    "more rights for a program": (one(task="Container", image="x", securityContext={}), ["unknown field"]),
    "another meaning of exit codes": (one(task="Container", image="x", exitCodes="Ignore"), ["exitCodes", "supported"]),
    "a service account": (one(serviceAccountName="admin"), ["unknown field"]),
    "an unknown parameter": (one(parameters={"separate": {"gain": 1}}), ["unknown field", "gain"]),
    "a weight of zero": (one(weight=0), ["spec.phases[0].weight"]),
    "two shares of a GPU": (one(gpus=2, gpu={"shared": True}), ["gpus must be 1 where gpu.shared is true"]),
    "a resource that is no GPU": (one(gpu={"resourceName": "a.example/kvm"}), ["spec.phases[0].gpu.resourceName"]),
    "a resource without a domain": (one(gpu={"resourceName": "gpu"}), ["spec.phases[0].gpu.resourceName"]),
    "17 GPUs": (one(gpus=17), ["spec.phases[0].gpus"]),
    "an unknown effect": (
        one() | {"templates": {"gpu": {"tolerations": [{"effect": "Never"}]}}},
        ["spec.templates.gpu.tolerations[0].effect", "supported values"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, body: Spec, words: list[str]) -> None:
    answer = resources.try_pipeline(body)
    assert answer.status in {400, 422}, answer
    assert [word for word in words if word not in answer.message] == [], answer.message


NAMES = {
    "of 40 characters": ("a" * 40, []),
    "of 41 characters": ("a" * 41, ["at most 40 characters"]),
    "with dots": ("my.pipeline", ["must not contain dots"]),
}


@pytest.mark.parametrize(("name", "words"), NAMES.values(), ids=NAMES.keys())
def test_names(resources: Resources, name: str, words: list[str]) -> None:
    answer = resources.try_pipeline(one(), name=name)
    assert (answer.status == 200) == (not words), answer.message
    assert [word for word in words if word not in answer.message] == [], answer.message


def test_the_servers_defaults_are_the_models(resources: Resources) -> None:
    given = one(inputs=[{"name": "x", "from": "Job"}], retry={}) | {"templates": {"gpu": {"tolerations": [{}]}}}
    stored = resources.try_pipeline(given).body["spec"]
    assert AudioPipelineSpec.model_validate(given) == AudioPipelineSpec.model_validate(stored)
    # Empty lists and objects say nothing, so the server does not store them.
    assert stored == _without_empty(AudioPipelineSpec.model_validate(given).to_wire())


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {key: _without_empty(member) for key, member in value.items()}
        return {key: member for key, member in cleaned.items() if member not in ({}, [])}
    if isinstance(value, list):
        return [_without_empty(member) for member in value]
    return value
