"""A full disk, real and small: in a mount namespace of its own the store or the scratch is a tmpfs of 1 MiB."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.integration.runner.pods import JOB_UID, POD_UID, PodFolder
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.web import running

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("full", ["store", "scratch"])
def test_a_full_disk_ends_with_78_and_publishes_nothing(
    folder_pod: PodFolder, folder_store: StoreFolder, full: str
) -> None:
    target = folder_store.root if full == "store" else folder_pod.root / "scratch"
    make_small(folder_pod, target, 1)
    folder_pod.write_phase(parameters={"outputBytes": 30_000_000})

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.DISK_FULL, "DiskFull"), ended.stderr
    assert left_in_small(folder_pod) == []
    assert folder_store.published() == []


def test_what_is_kept_of_a_download_makes_room_for_its_result(folder_pod: PodFolder, folder_store: StoreFolder) -> None:
    attempts = folder_store.root / f"demo/{JOB_UID}/work"
    kept = attempts / "1-aaaaaaaa/partial"
    make_small(folder_pod, folder_store.root, 8, f'mkdir -p "{kept}" && head -c 5M /dev/zero > "{kept}/data" && ')
    with running("127.0.0.1") as web:
        url = web.serve("/song.mp3", bytes(6 * 1024**2), Content_Type="audio/mpeg")
        inputs = [{"name": "source", "url": url}]
        folder_pod.write_phase("Download", inputs=inputs, network={"allowedCidrs": ["127.0.0.1/32:*"]}, attempt=2)
        ended = folder_pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    folder = attempts / f"2-{POD_UID[:8]}"
    assert left_in_small(folder_pod) == [f"{folder}/manifest.json", f"{folder}/source.mp3"]


def make_small(pod: PodFolder, target: Path, mebibytes: int, then: str = "") -> None:
    """Let the pod's next process have a disk of its own in that place. ``then`` is run before it."""
    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    # What is left in the small disk is listed, since the mount goes with the process.
    script = (
        f'mount -t tmpfs -o size={mebibytes}m tmpfs "{target}" && {then}"$@"; code=$?; '
        f'find "{target}" -type f > "{pod.root}/left"; exit $code'
    )
    pod.wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")


def left_in_small(pod: PodFolder) -> list[str]:
    """The files that were left on the small disk, but for the log."""
    left = (pod.root / "left").read_text(encoding="utf-8").splitlines()
    return sorted(path for path in left if "/log/" not in path)
