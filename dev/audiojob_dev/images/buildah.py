"""buildah with a storage of its own below the cache, so that nothing of the user's images is touched."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths
from audiojob_dev.tools.packages import program

_STALE_SECONDS = 3 * 24 * 3600.0


def _output(command: list[str], timeout: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise DevError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


class Buildah:
    def __init__(self, paths: Paths) -> None:
        self._storage = paths.cache / "containers" / "storage"
        self._scratch = paths.cache / "containers" / "run"
        self._building: subprocess.Popen[str] | None = None
        self._cancelled = False

    def _command(self, *arguments: str) -> list[str]:
        path = program("buildah")
        if path is None:
            raise DevError("missing system packages: buildah. Install them as root: apt-get install -y buildah")
        places = ["--root", str(self._storage), "--runroot", str(self._scratch)]
        return [path, *places, "--storage-driver", "overlay", *arguments]

    def run(self, *arguments: str, timeout: float = 300) -> str:
        """Run to the end and return the output. Raises DevError with buildah's message."""
        return _output(self._command(*arguments), timeout)

    def images(self) -> list[dict[str, Any]]:
        """`id` and `names` of every tagged image."""
        if not self._storage.exists():
            return []
        found: list[dict[str, Any]] = json.loads(self.run("images", "--json") or "[]") or []
        return [item for item in found if item.get("names")]

    def has(self, reference: str) -> bool:
        return any(reference in item["names"] for item in self.images())

    def remove_others(self, reference: str) -> None:
        """Remove images of the same repository with other tags."""
        repository = reference.rpartition(":")[0]
        for item in self.images():
            for name in item["names"]:
                if name != reference and name.rpartition(":")[0] == repository:
                    self.run("rmi", name)

    def remove_stale(self, now: float) -> None:
        """Remove untagged layers of old builds that nothing stands on; they only save time while they are recent."""
        if not self._storage.exists():
            return
        for item in json.loads(self.run("images", "--all", "--json") or "[]") or []:
            if not item.get("names") and now - item["created"] > _STALE_SECONDS:
                # A layer below another image cannot be removed, and shall not be.
                with suppress(DevError):
                    self.run("rmi", item["id"])

    def build(self, arguments: list[str], on_line: Callable[[str], None]) -> None:
        """`buildah build` without a daemon, a registry or a network of its own; calls `on_line` with each step.

        Raises DevError with the end of the output.
        """
        if self._cancelled:
            raise DevError("the build of the images was cancelled")
        self._storage.mkdir(parents=True, exist_ok=True)
        command = self._command("build", "--isolation", "chroot", "--network", "host", *arguments)
        lines: list[str] = []
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        self._building = process
        try:
            for line in process.stdout:
                lines = [*lines[-40:], line]
                if line.startswith(("STEP ", "[")):
                    on_line(" ".join(line.split())[:70])
        except BaseException:
            process.terminate()
            raise
        finally:
            process.communicate()
            self._building = None
        if process.returncode:
            raise DevError(f"the image could not be built:\n{''.join(lines)[-3000:]}")

    def cancel(self) -> None:
        """End the build that another thread waits for, if any, and begin no other."""
        self._cancelled = True
        if self._building:
            self._building.terminate()

    def write_layout(self, reference: str, folder: Path) -> None:
        """Write the image into an OCI layout, uncompressed; blobs that lie there already are not written again."""
        path = program("skopeo")
        if path is None:
            raise DevError("missing system packages: skopeo. Install them as root: apt-get install -y skopeo")
        source = f"containers-storage:[overlay@{self._storage}+{self._scratch}]{reference}"
        # `buildah push` to a layout compresses whatever it is told; skopeo reads the same storage and does not.
        options = ["--quiet", "--insecure-policy", "--format", "oci", "--dest-oci-accept-uncompressed-layers"]
        _output([path, "copy", *options, source, f"oci:{folder}:image"], timeout=3600)

    def write_archive(self, reference: str, file: Path) -> None:
        """Write the image as docker save would, uncompressed."""
        target = f"docker-archive:{file}:{reference}"
        self.run("push", "--quiet", "--disable-compression", reference, target, timeout=3600)

    def from_folder(self, folder: Path, reference: str, dockerfile: str) -> None:
        """Make an image out of a folder of files, without layers of others."""
        with tempfile.NamedTemporaryFile("w", suffix=".Dockerfile") as file:
            file.write(dockerfile)
            file.flush()
            self.build(["--pull-never", "--file", file.name, "--tag", reference, str(folder)], lambda _: None)
