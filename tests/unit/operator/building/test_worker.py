"""The Job of a worker: what each of its two containers gets, and what makes another worker of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from tests.unit.operator import goldens
from tests.unit.operator.builders import NAMESPACE, SETTINGS, with_settings

from audiojob_operator.building.pools.worker import build_worker, order_text, pool_facts, work_terms, worker_name
from audiojob_operator.records.settings import DecideSettings, Images
from audiojob_types import constants as c
from audiojob_types.contract import S3Store
from audiojob_types.descriptor import ImageFamily
from audiojob_types.workers.order import WorkOrder
from audiojob_types.workers.pool import AudioWorkerPool

Object = dict[str, Any]
GPU: Object = {"device": "GPU", "gpus": 2, "tasks": ["Separate"], "template": {"nodeSelector": {"gpu": "yes"}}}


def pool(name: str = "warm", uid: str = "pool-uid", **spec: Any) -> AudioWorkerPool:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": uid}
    return AudioWorkerPool.read({"metadata": metadata, "spec": {"tasks": ["Simulate"], **spec}})


def job(made: AudioWorkerPool, settings: DecideSettings = SETTINGS) -> Object:
    return build_worker(pool_facts(made, settings), 3, settings, order_text(work_terms(made, stays=False, drain=False)))


def containers(built: Object) -> dict[str, Object]:
    return {each["name"]: each for each in built["spec"]["template"]["spec"]["containers"]}


@pytest.mark.parametrize(
    ("case", "made", "settings"),
    [
        pytest.param("worker", pool(tasks=["Simulate", "Transcode"]), SETTINGS, id="on the CPU, with a folder"),
        pytest.param(
            "worker-on-gpu-and-s3",
            pool("a-pool-with-quite-a-long-name-of-its-own", **GPU, kueueLocalQueue="team"),
            with_settings(store=S3Store(bucket="music")),
            id="on GPUs, with S3 and Kueue",
        ),
    ],
)
def test_the_job_is_as_written_down(case: str, made: AudioWorkerPool, settings: DecideSettings) -> None:
    built = job(made, settings)
    annotations = built["spec"]["template"]["metadata"]["annotations"]
    annotations[c.ANNOTATION_WORK] = json.loads(annotations[c.ANNOTATION_WORK])
    shown = yaml.safe_dump(json.loads(json.dumps(built)), sort_keys=True, width=120)
    golden = goldens.FOLDER / f"{case}.yaml"
    if not golden.exists():
        golden.write_text(shown)
    assert shown == golden.read_text(), f"if the change is meant, delete {golden.name}, run the test, read the diff"


def test_who_decodes_media_has_neither_token_nor_store_nor_secret() -> None:
    for settings in (SETTINGS, with_settings(store=S3Store(bucket="music"), fetch_secret=True)):
        work = containers(job(pool(tasks=["Separate"]), settings))["work"]
        assert [mount["name"] for mount in work["volumeMounts"]] == ["scratch", "models"]
        assert work["volumeMounts"][0]["subPath"] == "room"
        assert not [each for each in work["env"] if "valueFrom" in each or each["name"].startswith("AUDIOJOB")]


def test_gpus_are_given_to_the_container_that_works() -> None:
    made = containers(job(pool(**GPU)))
    assert made["work"]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in made["serve"]["resources"]["limits"]


def test_an_order_says_that_a_worker_stays() -> None:
    stays = order_text(work_terms(pool(), stays=True, drain=False))
    goes = order_text(work_terms(pool(idleSeconds=7), stays=False, drain=False))
    assert [WorkOrder.read(text).idle_seconds for text in (stays, goes)] == [None, 7]


@pytest.mark.parametrize(
    ("tasks", "image"),
    [
        pytest.param(["Simulate", "Transcode"], "runner", id="tasks of the smallest image"),
        pytest.param(["Transcode", "Separate"], "runner-torch", id="the one with torch runs those of the smallest too"),
        pytest.param(["Simulate", "Engrave"], "runner-music", id="and so does the one for scores"),
    ],
)
def test_a_pool_runs_the_smallest_image_that_has_its_tasks(tasks: list[str], image: str) -> None:
    made = pool(tasks=tasks)
    assert not pool_facts(made, SETTINGS).problem
    assert {each["image"] for each in containers(job(made)).values()} == {f"docker.io/audiojob/{image}:1"}


def test_a_pool_whose_tasks_no_image_has_is_refused() -> None:
    facts = pool_facts(pool(tasks=["Separate", "Engrave"]), SETTINGS)
    assert facts.closed
    assert facts.problem == (
        "No image holds the code of all tasks: Separate (runner-torch), Engrave (runner-music). Make a pool of the "
        "tasks of each image: a worker has one."
    )


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(pool(minWorkers=1, maxWorkers=9), True, id="numbers of workers"),
        pytest.param(pool(idleSeconds=5, maxPhases=3, maxAgeSeconds=60), True, id="times, which workers are told"),
        pytest.param(pool(uid="another"), False, id="another pool of the name"),
        pytest.param(pool(tasks=["Simulate", "Transcode"]), False, id="tasks"),
        pytest.param(pool(resources={"memory": "1Gi"}), False, id="memory"),
        pytest.param(pool(template={"nodeSelector": {"disk": "fast"}}), False, id="nodes"),
        pytest.param(pool(preload={"models": ["htdemucs"]}), False, id="models that are loaded"),
    ],
)
def test_what_makes_workers_old(other: AudioWorkerPool, same: bool) -> None:
    assert (pool_facts(other, SETTINGS).built_from == pool_facts(pool(), SETTINGS).built_from) is same


def test_another_image_makes_workers_old() -> None:
    newer = replace(SETTINGS, images=Images({family: f"{family.value}:2" for family in ImageFamily}))
    assert pool_facts(pool(), newer).built_from != pool_facts(pool(), SETTINGS).built_from


def test_names_tell_pools_and_numbers_apart() -> None:
    names = {worker_name(made, number) for made in (pool(), pool(uid="another")) for number in (0, 1)}
    assert len(names) == 4
    assert all(name.startswith("warm-w-") for name in names)
