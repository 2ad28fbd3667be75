"""The Jobs that the operator builds, written out. ``python -m tests.unit.operator.goldens`` writes the files anew;
what a change of the code does to them is then read in the diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml
from tests.unit.operator.builders import URL, World, audio_job, phase, pipeline, separate_pipeline, with_settings

from audiojob_operator.records.objects import Object
from audiojob_operator.records.settings import Disruption, SiteGpu
from audiojob_types.constants import ANNOTATION_PHASE
from audiojob_types.contract import S3Store
from audiojob_types.descriptor import ImageFamily

FOLDER: Final = Path(__file__).with_name("golden")
TOLERATION: Final = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def _download() -> Object:
    world = World(audiojob=audio_job(pipeline="separate", source={"url": URL}), pipeline=separate_pipeline())
    world.turn()
    return world.newest("download")


def _upload() -> Object:
    world = World(
        audiojob=audio_job(source={"object": {"key": "albums/song one.flac"}}, activeDeadlineSeconds=90),
        pipeline=pipeline(
            phase(
                "normalize",
                "Normalize",
                inputs=[{"name": "source", "from": "Job"}],
                hardLimitSeconds=600,
                softLimitSeconds=500,
                stallSeconds=60,
                resources={"cpu": "1", "cpuLimit": "2", "memory": "1Gi", "scratch": "8Gi"},
            ),
            retentionSeconds=3600,
        ),
    )
    world.turn()
    return world.newest("normalize")


def _separate_on_gpu() -> Object:
    world = World(
        audiojob=audio_job("a-very-long-name-of-a-job-that-goes-on-and-on", pipeline="separate", source={"url": URL}),
        pipeline=separate_pipeline(
            templates={
                "gpu": {
                    "nodeSelector": {"gpu": "yes"},
                    "tolerations": [TOLERATION],
                    "runtimeClassName": "nvidia",
                    "priorityClassName": "batch",
                }
            }
        ),
        settings=with_settings(allowed_cidrs=("10.0.0.0/8",)),
        gpu=True,
    )
    for name, output in (("download", "source"), ("normalize", "audio")):
        world.turn()
        world.succeed(name, output)
    world.turn()
    return world.newest("separate")


def _s3_second_attempt() -> Object:
    store = S3Store(bucket="music", prefix="team-a", endpoint="https://s3.example.org")
    world = World(settings=with_settings(store=store, pull_policy="Always"))
    world.turn()
    world.fail("first")
    world.turn()
    world.pass_time(5)
    world.turn()
    return world.newest("first")


def speak_pipeline(**phase_fields: Any) -> Object:
    """Words into speech by a program of the administrator's."""
    return pipeline(
        phase(
            "speak",
            "Container",
            **{
                "image": "docker.io/example/speak@sha256:" + "5" * 64,
                "command": ["/usr/bin/speak"],
                "args": ["--slowly"],
                "env": [{"name": "LANG", "value": "C.UTF-8"}],
                "inputs": [{"name": "script", "from": "Job", "output": "script"}],
                "parameters": {"container": {"values": {"voice": "en", "speed": "160"}}},
                "resources": {"cpu": "1", "memory": "512Mi", "scratch": "1Gi"},
                "hardLimitSeconds": 900,
                "stallSeconds": 60,
            }
            | phase_fields,
        ),
        name="speak",
    )


def speak_job(**spec: Any) -> Object:
    """A job for it."""
    return audio_job(
        pipeline="speak",
        inputs=[{"name": "script", "text": "Good evening.\n"}],
        parameters={"container": {"values": {"voice": "de"}}},
        **spec,
    )


def _program() -> Object:
    world = World(audiojob=speak_job(), pipeline=speak_pipeline())
    world.turn()
    return world.newest("speak")


def _program_on_gpu_and_s3() -> Object:
    world = World(
        audiojob=speak_job(),
        pipeline=speak_pipeline(device="GPU", gpus=2, exitCodes="Contract", command=None, args=None, env=None),
        settings=with_settings(
            store=S3Store(bucket="music", prefix="team-a"),
            pull_policy="Always",
            gpu=SiteGpu("amd.com/gpu"),
            architectures={ImageFamily.RUNNER: ("amd64", "arm64")},
            disruption=Disruption(protect_running=True),
        ),
        gpu=True,
    )
    world.turn()
    return world.newest("speak")


CASES: Final = {
    "download-from-url": _download,
    "normalize-an-upload-with-limits": _upload,
    "separate-on-gpu-with-models": _separate_on_gpu,
    "second-attempt-on-s3": _s3_second_attempt,
    "program-of-the-administrator": _program,
    "program-on-gpu-and-s3": _program_on_gpu_and_s3,
}


def built(case: str) -> Object:
    """The Job as the operator creates it."""
    job = CASES[case]()
    for field in ("uid", "creationTimestamp"):
        del job["metadata"][field]  # the world's, as the API server's would be
    return job


def readable(job: Object) -> str:
    """YAML, with the phase file as structure."""
    annotations: dict[str, Any] = job["spec"]["template"]["metadata"]["annotations"]
    shown = {**annotations, ANNOTATION_PHASE: json.loads(annotations[ANNOTATION_PHASE])}
    template = {**job["spec"]["template"], "metadata": {**job["spec"]["template"]["metadata"], "annotations": shown}}
    plain = json.loads(json.dumps({**job, "spec": {**job["spec"], "template": template}}))
    return yaml.safe_dump(plain, sort_keys=True, width=120)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        (FOLDER / f"{name}.yaml").write_text(readable(built(name)))
