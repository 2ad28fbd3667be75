"""Pools of workers by the chart's values, and the phases that wait for them."""

from __future__ import annotations

import pytest
from tests.chart.helm import Helm, Object, RefusedError, merged, of_kind
from tests.chart.test_objects import MINIMAL

from audiojob_types.resources.pipeline import AudioPipelineSpec
from audiojob_types.workers.pool import AudioWorkerPoolSpec

pytestmark = pytest.mark.chart

POOL: Object = {"name": "gpu", "tasks": ["Separate"]}


def test_pools_of_workers_are_made_in_their_namespaces_with_what_the_values_say(helm: Helm) -> None:
    spec = {
        "tasks": ["Separate"], "device": "GPU", "maxAgeSeconds": 31_536_000, "preload": {"models": ["htdemucs"]},
        "resources": {"cpu": "1", "memory": "8Gi", "scratch": "8Gi"},
    }  # fmt: skip
    pools = [
        {"name": "gpu", **spec, "minWorkers": 0, "maxWorkers": None},
        {"name": "closed", "namespaces": ["b"], "tasks": ["Engrave"], "maxWorkers": 0},
    ]
    objects = of_kind(helm.render({"jobNamespaces": ["a", "b"], "workerPools": pools}), "AudioWorkerPool")
    made = {(each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"] for each in objects}
    assert made == {
        **{(namespace, "gpu"): {**spec, "minWorkers": 0} for namespace in "ab"},  # an autoscaler says how many
        ("b", "closed"): {"tasks": ["Engrave"], "maxWorkers": 0},
    }
    for given in made.values():
        AudioWorkerPoolSpec.model_validate(given)


def test_phases_of_a_task_wait_for_the_pool_that_the_values_name(helm: Helm) -> None:
    use = {"separate": {"name": "gpu", "fallbackSeconds": 0}, "engrave": {"name": "notes"}}
    values = merged(MINIMAL, {"pipelines": {"workerPools": use}})
    found = {
        phase.task.value: phase.worker_pool.to_wire()
        for pipeline in of_kind(helm.render(values), "AudioPipeline")
        for phase in AudioPipelineSpec.model_validate(pipeline["spec"]).phases
        if phase.worker_pool is not None
    }
    assert found == {"Separate": use["separate"], "Engrave": {"name": "notes", "fallbackSeconds": 300}}
    phases = [
        phase
        for pipeline in of_kind(helm.render(values), "AudioPipeline")
        for phase in AudioPipelineSpec.model_validate(pipeline["spec"]).phases
    ]
    assert all((phase.worker_pool is not None) == (phase.task.parameter_key in use) for phase in phases)


WRONG: dict[str, tuple[Object, list[str]]] = {
    "a pool without tasks": ({"workerPools": [{"name": "gpu"}]}, ["workerPools/0", "tasks"]),
    "a pool that downloads": ({"workerPools": [{"name": "a", "tasks": ["Download"]}]}, ["workerPools/0/tasks/0"]),
    "a pool with a pod template of its own": (
        {"workerPools": [{**POOL, "template": {"hostNetwork": True}}]}, ["workerPools/0/template", "hostNetwork"],
    ),
    "a pool twice": ({"workerPools": [POOL, POOL]}, ["workerPools: the name gpu is there twice"]),
    "a pool where nothing runs": (
        {"workerPools": [{**POOL, "namespaces": ["other"]}]}, ["workerPools: other is not in jobNamespaces"],
    ),
    "a pool for downloads": (
        {"pipelines": {"workerPools": {"download": {"name": "gpu"}}}}, ["pipelines/workerPools", "download"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_pools_are_refused(helm: Helm, values: Object, words: list[str]) -> None:
    with pytest.raises(RefusedError) as refused:
        helm.render(merged(MINIMAL, values))
    assert [word for word in words if word not in str(refused.value)] == [], refused.value
