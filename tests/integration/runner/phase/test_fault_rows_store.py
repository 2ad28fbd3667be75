"""Rows F34–F42 that are about the store, and B30: killed, doubled, full, failing, lying, and cut off."""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import JOB_UID, POD_UID, PodFolder, eventually, make_pod
from tests.integration.runner.stores import StoreFolder
from tests.support.buckets.gateway import Gateway
from tests.support.faults.s3 import Call, Fault, S3Faults, s3_faults

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

PREFIX = f"demo/{JOB_UID}/work"
OTHER_POD = "ffff0000-0000-4000-8000-000000000002"
LARGE = 60_000_000


def manifests(store: StoreFolder) -> list[str]:
    return [key for key in store.published() if key.endswith("/manifest.json")]


def parts_on_disk(store: StoreFolder) -> list[Path]:
    """Parts of unfinished uploads, where versitygw keeps them: what ListMultipartUploads would show."""
    return [path for path in store.root.glob(".sgwtmp/multipart/**/*") if path.is_file()]


def _runs(pod: PodFolder) -> bool:
    return any((pod.root / "scratch").glob("run-*/work"))


# ---------------------------------------------------------------- F34, F36: killed and doubled


def test_F34_killed_between_publishing_and_exit_the_next_attempt_finds_the_work(
    pod: PodFolder, store: StoreFolder
) -> None:
    parameters = {"outputBytes": 1000, "exitAfterPublishing": True}
    pod.write_phase(parameters=parameters)
    first = pod.run()
    assert first.message is None, "it died before it could say anything"

    pod.write_phase(parameters=parameters, attempt=2)
    second = pod.run(OTHER_POD)

    assert second.code == ExitCode.OK, second.stderr
    assert second.result.manifest is not None
    assert second.result.manifest.key == f"{PREFIX}/1-{POD_UID[:8]}/manifest.json"
    assert len(store.published()) == 2, "one file and its manifest"


def test_F34_killed_while_it_uploads_nothing_counts_and_the_next_attempt_does_the_work(
    pod: PodFolder, store: StoreFolder
) -> None:
    pod.write_phase(parameters={"outputBytes": 400_000_000})
    running = pod.start()
    eventually(lambda: _uploading(store), "the upload has begun", seconds=60)
    running.process.kill()
    assert running.wait().message is None
    assert manifests(store) == []

    pod.write_phase(parameters={"outputBytes": 1000}, attempt=2)
    ended = pod.run(OTHER_POD)

    assert ended.code == ExitCode.OK, ended.stderr
    assert manifests(store) == [f"{PREFIX}/2-{OTHER_POD[:8]}/manifest.json"]


def test_F36_two_pods_of_one_attempt_publish_once_and_both_succeed(
    pod: PodFolder, store: StoreFolder, tmp_path: Path
) -> None:
    twin = make_pod(tmp_path / "twin", store)
    for each in (pod, twin):
        each.write_phase(parameters={"outputBytes": 1000, "durationMilliseconds": 300})
    late = twin.start(OTHER_POD)
    eventually(lambda: _runs(twin), "the twin works")
    os.kill(late.process.pid, signal.SIGSTOP)

    first = pod.run()
    os.kill(late.process.pid, signal.SIGCONT)
    second = late.wait()

    assert (first.code, second.code) == (ExitCode.OK, ExitCode.OK), second.stderr
    assert first.result.manifest == second.result.manifest
    assert len(store.published()) == 2, "one file and its manifest"


# ---------------------------------------------------------------- F38: full


def test_F38_a_full_volume_ends_one_phase_and_leaves_what_others_published(
    folder_pod: PodFolder, folder_store: StoreFolder
) -> None:
    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    other = folder_store.put_manifest("demo/other/before/1-a", {"audio": b"theirs" * 1000})
    kept, root, saved = folder_pod.root / "kept", folder_store.root, folder_pod.root / "saved"
    shutil.copytree(root, saved)
    script = (
        f'mount -t tmpfs -o size=1m tmpfs "{root}" && cp -a "{saved}/." "{root}" && "$@"; code=$?; '
        f'cp -a "{root}" "{kept}"; exit $code'
    )
    folder_pod.wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    folder_pod.write_phase(parameters={"outputBytes": 30_000_000})

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.DISK_FULL, "DiskFull"), ended.stderr
    left = StoreFolder("Folder", kept, {})
    assert left.published() == ["demo/other/before/1-a/audio.bin", other["key"]]
    assert left.read("demo/other/before/1-a/audio.bin") == b"theirs" * 1000


# ---------------------------------------------------------------- F40, F41: a bucket that fails and lies


@pytest.fixture
def faulty(s3_store: StoreFolder, gateway: Gateway, tmp_path: Path) -> Callable[..., Any]:
    """Runs a phase on a bucket whose server follows a plan."""

    def run(plan: Callable[[Call], Fault | None], **phase: Any) -> tuple[Any, S3Faults]:
        with s3_faults(gateway.endpoint, plan) as proxy:
            behind = replace(s3_store, config={**s3_store.config, "endpoint": proxy.endpoint})
            pod = make_pod(tmp_path / "pod", behind)
            pod.write_phase(**({"parameters": {"outputBytes": LARGE}} | phase))
            return pod.run(seconds=120), proxy

    return run


PASSING: dict[str, Callable[[Call], Fault | None]] = {
    "every call fails once with 500": lambda call: Fault(status=500) if call.number == 1 else None,
    "503 twice in a row for each part": lambda call: (
        Fault(status=503) if call.kind == "UploadPart" and call.number % 3 else None
    ),
    "connections are cut": lambda call: Fault(reset=True) if call.number in (1, 3) else None,
    "all calls are slow": lambda _call: Fault(delay=0.2),
}


@pytest.mark.parametrize("plan", PASSING.values(), ids=PASSING.keys())
def test_F40_what_passes_is_tried_again_and_the_work_is_whole(
    faulty: Callable[..., Any], s3_store: StoreFolder, plan: Callable[[Call], Fault | None]
) -> None:
    ended, _ = faulty(plan)

    assert ended.code == ExitCode.OK, ended.stderr
    [key] = manifests(s3_store)
    assert len(s3_store.read(f"{key.rpartition('/')[0]}/output.bin")) == LARGE
    assert parts_on_disk(s3_store) == []


def failing(*kinds: str, **fault: Any) -> Callable[[Call], Fault | None]:
    return lambda call: Fault(**fault) if call.kind in kinds else None


def expiring(call: Call) -> Fault | None:
    """Credentials that run out in the middle of an upload; its end can still be asked for."""
    return Fault(status=403, expired=True) if call.kind == "UploadPart" and call.number > 3 else None


LASTING: dict[str, tuple[Callable[[Call], Fault | None], ExitCode, str, int]] = {
    "parts are refused with 500 for good": (
        failing("UploadPart", status=500), ExitCode.TEMPORARY, "TemporaryFailure", 100,
    ),
    "the end of the upload is refused with 500": (
        failing("CompleteUpload", status=500), ExitCode.TEMPORARY, "TemporaryFailure", 100,
    ),
    "credentials expire in the middle": (expiring, ExitCode.CREDENTIALS, "CredentialsRefused", 12),
    "all is forbidden": (lambda _call: Fault(status=403), ExitCode.CREDENTIALS, "CredentialsRefused", 12),
}  # fmt: skip


@pytest.mark.parametrize(("plan", "code", "reason", "most"), LASTING.values(), ids=LASTING.keys())
def test_F40_what_lasts_ends_the_phase_with_its_reason_and_no_part_stays(
    faulty: Callable[..., Any],
    s3_store: StoreFolder,
    plan: Callable[[Call], Fault | None],
    code: ExitCode,
    reason: str,
    most: int,
) -> None:
    ended, proxy = faulty(plan)

    assert (ended.code, ended.result.reason) == (code, reason), ended.stderr
    assert len(proxy.calls) <= most, "403 is not asked again and again"
    assert s3_store.published() == []
    assert parts_on_disk(s3_store) == []
    assert proxy.count("CreateUpload") == proxy.count("AbortUpload")


def test_F41_bytes_that_change_on_the_way_to_the_bucket_are_never_published(
    faulty: Callable[..., Any], s3_store: StoreFolder
) -> None:
    ended, _ = faulty(failing("UploadPart", spoil=True))

    assert ended.code != ExitCode.OK
    assert s3_store.published() == []


LIES: dict[str, Fault] = {"flipped bytes": Fault(flip=True), "half of the bytes": Fault(cut=True)}


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES.keys())
def test_F41_an_input_that_a_bucket_does_not_give_as_it_was_is_not_used(
    faulty: Callable[..., Any], s3_store: StoreFolder, fault: Fault
) -> None:
    manifest = s3_store.put_manifest("demo/u/before/1-a", {"audio": bytes(3_000_000)})
    inputs = [{"name": "source", "manifest": manifest, "output": "audio"}]
    ended, _ = faulty(
        lambda call: fault if call.kind == "Get" and call.key.endswith("audio.bin") else None, inputs=inputs
    )

    assert ended.code != ExitCode.OK
    assert ended.result.reason in ("ChecksumMismatch", "TemporaryFailure"), ended.stderr
    assert [key for key in s3_store.published() if key.startswith(PREFIX)] == []


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_F41_an_input_that_changed_on_the_volume_is_not_used(
    folder_pod: PodFolder, folder_store: StoreFolder, damage: str
) -> None:
    manifest = folder_store.put_manifest("demo/u/before/1-a", {"audio": b"as it was published"})
    file = folder_store.root / "demo/u/before/1-a/audio.bin"
    file.write_bytes(b"as it Was published" if damage == "flipped" else b"as it was")
    folder_pod.write_phase(inputs=[{"name": "source", "manifest": manifest, "output": "audio"}])

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.SOURCE_UNAVAILABLE, "ChecksumMismatch"), ended.stderr
    assert [key for key in folder_store.published() if key.startswith(PREFIX)] == []


# ---------------------------------------------------------------- F42: nobody to report to


@pytest.mark.parametrize("kind", ["silent", "closed"])
def test_F42_cut_off_from_the_api_server_the_work_goes_on(
    folder_pod: PodFolder, folder_store: StoreFolder, kind: str, tmp_path: Path
) -> None:
    account = folder_pod.root / "var/run/secrets/kubernetes.io/serviceaccount"
    account.mkdir(parents=True)
    (account / "token").write_text("token", encoding="ascii")
    import certifi

    shutil.copyfile(certifi.where(), account / "ca.crt")
    folder_pod.write_phase(parameters={"durationMilliseconds": 2_500, "outputBytes": 1000})
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        port = server.getsockname()[1] if kind == "silent" else 9
        folder_pod.environ |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
        ended = folder_pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.seconds < 30, "it does not wait for an answer"
    assert ended.result.manifest is not None
    assert manifests(folder_store) == [ended.result.manifest.key]


# ---------------------------------------------------------------- B30: keys


B30_KEYS = {
    "an absolute path": "/etc/passwd",
    "a way up": "../secret.bin",
    "a way up in the middle": f"{PREFIX}/../../../../secret.bin",
    "an empty part": "demo//uploads/a",
    "a zero byte": "demo/uploads/a\x00b",
}


@pytest.mark.parametrize("key", B30_KEYS.values(), ids=B30_KEYS.keys())
def test_B30_a_key_never_leads_out_of_the_store(pod: PodFolder, store: StoreFolder, key: str) -> None:
    (store.root.parent / "secret.bin").write_bytes(b"secret")
    pod.write_phase(inputs=[{"name": "source", "key": key}])

    ended = pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec"), ended.stderr
    assert store.published() == []


def test_B30_a_prefix_of_a_bucket_is_a_wall(s3_store: StoreFolder, tmp_path: Path) -> None:
    s3_store.put("theirs/uploads/a.bin", b"not yours")
    mine = replace(s3_store, root=s3_store.root / "mine", config={**s3_store.config, "prefix": "mine"})
    pod = make_pod(tmp_path / "pod", mine)
    for key in ("../theirs/uploads/a.bin", "theirs/uploads/a.bin"):
        pod.write_phase(inputs=[{"name": "source", "key": key}])
        assert pod.run().code in (ExitCode.USAGE, ExitCode.SOURCE_UNAVAILABLE)


def _uploading(store: StoreFolder) -> bool:
    return any(path.is_file() for path in store.root.rglob("*") if "/log/" not in str(path))
