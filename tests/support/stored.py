"""Samples of what this version stores, made from real decisions and by the runner's own code.

``python -m tests.support.stored 2026-11-28`` writes the folder of that name in tests/data/stored, ``python -m
tests.support.stored contracts`` the fields of each contract. A folder of a released version is never written again:
its tests say for ever that a later version reads it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, get_args

from tests.unit.operator.builders import (
    NAMESPACE,
    NOW,
    UID,
    World,
    audio_job,
    phase,
    phase_input_of,
    pipeline,
    result_message,
)

from audiojob_dev.paths import repository
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Object
from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.partial.format import address_digest, describe
from audiojob_runner.fetch.partial.resumption import Version
from audiojob_runner.models.volume import Lock
from audiojob_runner.phase import result
from audiojob_runner.phase.progress import Progress
from audiojob_runner.phase.report import report_body
from audiojob_runner.prefetch.report import body_of
from audiojob_runner.settings import read_parameters
from audiojob_runner.store.manifest import Published, build_manifest, encode, fingerprint, reference
from audiojob_runner.sweep.index import SeenJob, index_job, note
from audiojob_types.base import WireModel, format_time, since
from audiojob_types.contract import CONTRACT, ExitCode, Manifest, ManifestOutput, PhaseInput
from audiojob_types.models import ModelRecord, ModelState
from audiojob_types.progress import PhaseUsage
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

STORED: Final = repository() / "tests" / "data" / "stored"
CONTRACTS: Final = STORED / "contracts.json"
SHA: Final = "5" * 64
POD: Final = "abcd1234"
# Removed from objects so that a test can store them in a namespace and under uids of its own.
_SERVER_SETS: Final = ("uid", "generation", "resourceVersion", "creationTimestamp")


# ---------------------------------------------------------------- AudioJobs in each state


def pair(**spec: Any) -> Object:
    """Two phases, with waits that a test can sit out."""
    retry = {"limit": 3, "baseSeconds": 1, "capSeconds": 2}
    return pipeline(phase("one"), phase("two"), retry=retry, **spec)


def gated() -> Object:
    """A pipeline that stops before its second phase."""
    return pipeline(phase("one"), phase("two", gate="Review"), name="gated")


def asking() -> Object:
    """A pipeline that stops before its second phase if the first asks for it."""
    words = [{"name": "words", "from": "one", "output": "audio"}]
    return pipeline(phase("one"), phase("two", gate="ReviewIfAsked", inputs=words), name="asking")


def first(world: World) -> None:
    """The first phase runs."""
    world.turn()
    world.run("one")
    world.turn()


def second(world: World) -> None:
    """The second phase runs."""
    first(world)
    world.succeed("one")
    world.turn()
    world.run("two")
    world.turn()


def half(world: World) -> None:
    """The operator ended between the creation of a Job and the status that names it."""
    for kind, what in world.steps(world.decide()):
        if kind in ("revision", "job"):
            world.write(kind, what)


def again(world: World) -> None:
    """The first phase failed and waits for its second attempt."""
    first(world)
    world.fail("one")
    world.turn()
    world.turn()


def drained(world: World) -> None:
    """The first node was drained; the second attempt runs."""
    first(world)
    conditions = [{"type": "DisruptionTarget", "status": "True", "message": "the node is drained"}]
    world.end("one", 143)
    world.pod("one", conditions=conditions)
    world.turn()
    world.pass_time(30)
    world.turn()
    world.run("one")
    world.turn()


def suspended(world: World) -> None:
    """Suspended while its second phase ran."""
    second(world)
    world.edit(suspend=True)
    world.turn()


def review(world: World) -> None:
    """Waits for somebody's review."""
    first(world)
    world.succeed("one")
    world.turn()


def asked(world: World) -> None:
    """The first phase asks people to look at what it made."""
    first(world)
    message = result_message(world.newest("one"), review_asked="Line 3 may be wrong.")
    world.end("one", 0, message)
    world.turn()


def corrected(world: World) -> None:
    """The second phase runs with what the review handed in."""
    asked(world)
    inputs = [{"name": "audio", "text": "La la la"}]
    world.edit(reviews=[{"phase": "two", "approved": True, "message": "", "inputs": inputs}])
    world.turn()
    world.run("two")
    world.turn()


def succeeded(world: World) -> None:
    """Both phases are done."""
    second(world)
    world.succeed("two")
    world.turn()


def failed(world: World) -> None:
    """The first phase failed for good."""
    first(world)
    world.fail("one", 65, "NotMedia", "This is no audio.")
    world.turn()


def cancelled(world: World) -> None:
    """Cancelled while its second phase ran."""
    second(world)
    world.edit(cancel=True)
    world.turn()


def queueless(world: World) -> None:
    """Waits for a queue that does not exist."""
    world.admission = Admission(
        admitted=False, reason=Reason.QUEUE_NOT_FOUND, message=f"There is no AudioQueue night in namespace {NAMESPACE}."
    )
    world.turn()


RICH: Final = {
    "activeDeadlineSeconds": 3_600,
    "parameters": {"simulate": {"durationMilliseconds": 10}},
    "priority": 7,
    "ttlSecondsAfterFinished": 7_200,
}
STORIES: Final[dict[str, tuple[Callable[[World], None], Object]]] = {
    "new": (lambda _: None, {}),
    "queueless": (queueless, {"queueName": "night"}),
    "first": (first, {}),
    "half": (half, {}),
    "second": (second, RICH),
    "again": (again, {}),
    "drained": (drained, {}),
    "suspended": (suspended, {}),
    "review": (review, {"pipeline": "gated"}),
    "asked": (asked, {"pipeline": "asking"}),
    "corrected": (corrected, {"pipeline": "asking"}),
    "succeeded": (succeeded, {}),
    "failed": (failed, {}),
    "cancelled": (cancelled, {}),
}


def objects() -> Object:
    """Pipelines, revisions, and AudioJobs with their live Jobs, as the API server holds them."""
    pipelines = {each["metadata"]["name"]: each for each in (pair(), gated(), asking())}
    jobs: Object = {}
    revisions: Object = {}
    for name, (story, spec) in STORIES.items():
        given = audio_job(name, **spec)
        world = World(audiojob=given, pipeline=pipelines[given["spec"]["pipeline"]])
        story(world)
        revisions |= world.revisions
        jobs[name] = {
            "spec": world.audiojob["spec"],
            "status": world.audiojob["status"],
            "jobs": [as_created(each) for job, each in world.jobs.items() if is_live(world, job)],
        }
    queue = {
        "apiVersion": "audiojobs.dev/v1alpha1",
        "kind": "AudioQueue",
        "metadata": {"name": "night"},
        "spec": {"maxRunning": 3, "maxGPUs": 1, "weight": 2},
        "status": {
            "observedGeneration": 1,
            "running": 1,
            "pending": 2,
            "gpus": 0,
            "message": "1 of 3 jobs are running.",
        },
    }
    found = {"jobs": jobs, "pipelines": list(pipelines.values()), "queues": [queue]}
    return neutral(found | {"revisions": list(revisions.values())})


def is_live(world: World, job: str) -> bool:
    """Whether the Job has not ended."""
    pod = world.pods.get(job, {"status": {}})
    return pod["status"].get("phase") not in ("Succeeded", "Failed")


def as_created(job: Object) -> Object:
    """The Job without what a server adds."""
    metadata = {key: value for key, value in job["metadata"].items() if key not in _SERVER_SETS}
    return {**job, "metadata": metadata}


def neutral(found: Object) -> Object:
    """With stand-ins for what a test has of its own: uid, namespace, times, and hashes made of the uid."""
    text = json.dumps(found, sort_keys=True)
    for each in ("one", "two"):
        for attempt in range(1, 4):
            digest = hashlib.sha256(f"{UID}/{each}/{attempt}".encode()).hexdigest()[:8]
            text = text.replace(digest, f"@HASH-{each}-{attempt}@")
    text = text.replace(UID, "@UID@").replace(NAMESPACE, "@NAMESPACE@")
    for seconds in (*range(120), 604_800):  # a review is waited for for a week
        text = text.replace(format_time(NOW + timedelta(seconds=seconds)), "@NOW@")
    neutralised: Object = json.loads(text)
    return neutralised


# ---------------------------------------------------------------- what a runner reads and leaves


def runner_files() -> dict[str, bytes]:
    """By name: the phase file, and all that a runner of this version writes."""
    world = World(audiojob=audio_job(), pipeline=pair(retentionSeconds=86_400))
    first(world)
    given = phase_input_of(world.newest("one"))
    output = ManifestOutput(
        name="output", file="output.bin", media_type="application/octet-stream", bytes=64, sha256=SHA,
        crc32="cbf43926", metadata={"durationSeconds": 1.5},
    )  # fmt: skip
    manifest = build_manifest(given, fingerprint(given, read_parameters(given)), (output,), {"untrained": False}, NOW)
    key = f"{given.attempt_prefix}{POD}/manifest.json"
    done = Published(manifest, reference(key, encode(manifest), manifest))
    error = PhaseError(ExitCode.TEMPORARY, Reason.RATE_LIMITED, "The site asks for a pause.", "Wait.")
    error.retry_after_seconds = 60
    usage = PhaseUsage(
        cpu_milliseconds=9_000, media_milliseconds=1_500, work_milliseconds=5_000, start_milliseconds=900,
        gpu_peak_bytes=2**30, read_bytes=3, written_bytes=64,
    )  # fmt: skip
    succeeded = result.success(done, f"{given.attempt_prefix}{POD}/log/0000", 2**20)
    return {
        "phase.json": as_json(given.to_wire()),
        "manifest.json": encode(manifest),
        "result-succeeded.json": result.encode(succeeded.model_copy(update={"usage": usage})),
        "result-failed.json": result.encode(result.failure(error, None, 2**20)),
        "progress.json": as_json(report_body(given, Progress(40, "Working", 12), {"percent": 3}, NOW)),
        "models.json": as_json(Lock().with_file("955717e8-8726e21a.th", 84_141_911, SHA, NOW).to_wire()),
        "configmap-models.json": as_json(models_configmap()),
        "about.json": as_json(kept_download()),
        "absent-since.json": as_json({"absentSince": format_time(NOW)}),
        "index.json": as_json(index_record(manifest)),
    }


def models_configmap() -> Object:
    """What the prefetch Job reports."""
    records = {
        "htdemucs": ModelRecord(state=ModelState.READY, percent=100, files={"955717e8-8726e21a.th": SHA}),
        "mdx": ModelRecord(state=ModelState.FAILED, message="The server does not answer.", suggestion="Wait."),
    }
    return body_of(records, NOW)


def kept_download() -> Object:
    """The note beside what a download has received."""
    version = Version('"v1"', 100_000_000)
    about = describe(address_digest(UID, "https://media.example.org/song.mp3"), version, "audio/mpeg", "mp3")
    assert about is not None, "it can be continued"
    return about.to_wire()


def index_record(manifest: Manifest) -> Object:
    """What the sweeper writes into the index."""
    folder = f"{manifest.namespace}/{manifest.uid}"
    notes = [note(manifest, f"{folder}/{manifest.phase}/1-{POD}")]
    entry = index_job(folder, notes, NOW, SeenJob("pair", "Succeeded", NOW), {})
    assert entry is not None, "something was published"
    return entry.job.to_wire()


def as_json(record: Object) -> bytes:
    """For people to read in a diff."""
    return json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"


# ---------------------------------------------------------------- the fields of each contract


def sent(contract: int) -> dict[str, list[str]]:
    """By record the paths of the fields that a runner of the contract is sent."""
    records: dict[str, type[WireModel]] = {
        "phase file": PhaseInput,
        **{f"parameters of {task}": task.descriptor.parameters for task in Task},
    }
    return {name: sorted(set(_fields(model, contract))) for name, model in sorted(records.items())}


def _fields(model: type[WireModel], contract: int, at: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if since(field) <= contract:
            path = f"{at}{field.serialization_alias or name}"
            yield path
            for nested in _wire_models_in(field.annotation):
                yield from _fields(nested, contract, f"{path}.")


def _wire_models_in(annotation: Any) -> Iterator[type[WireModel]]:
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        yield annotation
    for part in get_args(annotation):
        yield from _wire_models_in(part)


def main(version: str) -> None:
    """Write one folder, or the contracts."""
    CONTRACTS.write_bytes(as_json({str(contract): sent(contract) for contract in range(CONTRACT + 1)}))
    if version == "contracts":
        return
    folder = STORED / version
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "runner").mkdir(parents=True)
    (folder / "objects.json").write_bytes(as_json(objects()))
    for name, content in runner_files().items():
        (folder / "runner" / name).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1])
