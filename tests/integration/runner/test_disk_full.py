"""A full disk, real and small: in a mount namespace of its own the store or the scratch is a tmpfs of 1 MiB."""

from __future__ import annotations

import shutil

import pytest
from tests.integration.runner.pods import PodFolder
from tests.integration.runner.stores import StoreFolder

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("full", ["store", "scratch"])
def test_a_full_disk_ends_with_78_and_publishes_nothing(
    folder_pod: PodFolder, folder_store: StoreFolder, full: str
) -> None:
    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    target = folder_store.root if full == "store" else folder_pod.root / "scratch"
    # What is left in the small disk is copied out, since the mount goes with the process.
    script = (
        f'mount -t tmpfs -o size=1m tmpfs "{target}" && "$@"; code=$?; '
        f'find "{target}" -type f > "{folder_pod.root}/left"; exit $code'
    )
    folder_pod.wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    folder_pod.write_phase(parameters={"outputBytes": 30_000_000})

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.DISK_FULL, "DiskFull"), ended.stderr
    left = (folder_pod.root / "left").read_text(encoding="utf-8").splitlines()
    assert [path for path in left if "/log/" not in path] == []
    assert folder_store.published() == []
