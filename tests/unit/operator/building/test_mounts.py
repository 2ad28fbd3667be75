"""The kubelet follows links on the way to a subPath, so no pod of a phase may write above another's mount."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml
from tests.unit.operator import goldens
from tests.unit.operator.builders import URL, World, audio_job, phase, pipeline, separate_pipeline, with_settings

from audiojob_dev.paths import repository
from audiojob_operator.records.libraries import Library
from audiojob_operator.records.objects import Object

LIBRARIES = (Library("shelf", prefix="library/shelf"), Library("films", prefix="library/films"))
UIDS = ("4a6c1f0e-6f0b-4a52-9f1e-0d1f6f9c1a10", "7b1d0000-6f0b-4a52-9f1e-0d1f6f9c1a10")


@dataclass(frozen=True)
class Mount:
    """A mount of the store or of another volume that pods share; ``place`` is the folder of the volume."""

    pod: str
    volume: str
    place: PurePosixPath
    writable: bool


def mounts_of(job: Object) -> list[Mount]:
    pod = job["spec"]["template"]["spec"]
    shared = {each["name"] for each in pod["volumes"] if "persistentVolumeClaim" in each}
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    return [
        Mount(
            job["metadata"]["name"],
            mount["name"],
            PurePosixPath(mount.get("subPath", ".")),
            not mount.get("readOnly", False) and not volume_is_read_only(pod, mount["name"]),
        )
        for container in containers
        for mount in container["volumeMounts"]
        if mount["name"] in shared
    ]


def volume_is_read_only(pod: Object, name: str) -> bool:
    volume = next(each for each in pod["volumes"] if each["name"] == name)
    return bool(volume["persistentVolumeClaim"].get("readOnly"))


def whole_jobs() -> list[Object]:
    """Every attempt of jobs with several phases, whose inputs come from everywhere; and the written-down ones."""
    made = [goldens.built(case) for case in goldens.CASES]
    about = {"name": "about", "from": "download", "output": "source"}
    audio = {"name": "source", "from": "normalize", "output": "audio"}
    line: Any = separate_pipeline()
    line["spec"]["phases"] += [
        phase("transcode", "Transcode", inputs=[audio]),
        phase("speak", "Container", image="example.org/speak:1", inputs=[audio]),
        phase("publish", "Publish", inputs=[{"name": "vocals", "from": "separate", "output": "vocals"}, about]),
    ]
    outputs: dict[str, tuple[str, ...]] = {
        "download": ("source",), "normalize": ("audio",), "separate": ("vocals",), "transcode": ("audio",),
        "speak": ("result",), "publish": ("vocals",),
    }  # fmt: skip
    sources: tuple[Object, ...] = ({"url": URL}, {"library": {"name": "films", "path": "a/b.mkv"}})
    for uid, source in zip(UIDS, sources, strict=True):
        given = {"source": source, "destination": {"library": "shelf", "layout": "Title"}}
        world = World(
            audiojob=audio_job(f"job-{uid[:4]}", pipeline="separate", uid=uid, **given),
            pipeline=line,
            settings=with_settings(libraries=LIBRARIES),
        )
        world.finish(outputs)
        made += world.jobs.values()
    first, second = UIDS
    taker = World(
        audiojob=audio_job("taker", uid=second, source={"jobRef": {"name": "song"}}),
        pipeline=pipeline(phase("only", "Normalize", inputs=[{"name": "source", "from": "Job"}])),
    )
    donor = World(audiojob=audio_job(uid=first, source={"url": URL}), pipeline=pipeline(phase("first")))
    donor.finish({"first": ("audio",)})
    taker.source_job = donor.audiojob
    taker.turn()
    return [*made, *taker.jobs.values()]


def test_no_pod_of_a_phase_can_write_where_another_pods_mount_lies() -> None:
    mounts = [mount for job in whole_jobs() for mount in mounts_of(job)]
    assert len({mount.place for mount in mounts if mount.writable}) > 8
    assert any(not mount.writable and str(mount.place).endswith("/normalize") for mount in mounts)
    for writable in (mount for mount in mounts if mount.writable):
        for mount in mounts:
            way = mount.place.parents if mount.volume == writable.volume else ()
            assert writable.place not in way, f"{writable.pod} can put a link on the way to {mount.place}"


def test_every_attempt_writes_into_one_folder_of_the_store_which_is_its_phases() -> None:
    for job in whole_jobs():
        labels = job["metadata"]["labels"]
        own = {mount.place for mount in mounts_of(job) if mount.writable and mount.volume == "store"}
        uid, name = labels["audiojobs.dev/uid"], labels["audiojobs.dev/phase"]
        assert own - {PurePosixPath("library/shelf")} <= {PurePosixPath(f"music/{uid}/{name}")}


def test_beside_the_operators_pods_only_the_sweeper_mounts_more_than_uploads_writable() -> None:
    chart = repository() / "charts/audiojob/templates"
    found = {path.name for path in chart.rglob("*.yaml") if "claimName: audiojob-store" in path.read_text()}
    assert found == {"files.yaml", "sweep.yaml"}, "what mounts the store must be thought about here"
    lines = (chart / "files.yaml").read_text().splitlines()
    assert [line.strip() for line in lines if "name: store, mountPath" in line and "readOnly: true" not in line] == [
        "- {name: store, mountPath: /store/{{ . }}/uploads, subPath: {{ . }}/uploads}"
    ]
    pod = yaml.safe_load((repository() / "examples/files-pod.yaml").read_text())
    [container] = pod["spec"]["containers"]
    writable = [mount.get("subPathExpr") for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["$(NAMESPACE)/uploads"], "uploads lie beside the jobs' folders, not above them"
