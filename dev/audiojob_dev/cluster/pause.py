"""The sandbox image of every pod: one static program, packed here, since no registry is asked for it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from pathlib import Path

from audiojob_dev.cluster.node import PAUSE_IMAGE
from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths, repository
from audiojob_dev.tools import golang
from audiojob_dev.tools.versions import go_module_directory

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def archive(paths: Paths) -> Path:
    """Build the image once and return its archive (docker save's format)."""
    module = go_module_directory(repository())
    key = hashlib.sha256((module / "pause" / "main.go").read_bytes()).hexdigest()[:12]
    target = paths.cache / "pause" / f"{key}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        program = target.with_suffix(".bin")
        go = golang.find_or_install(paths.cache)
        command = [str(go), "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w"]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        done = subprocess.run(
            [*command, "-o", str(program), "./pause"],
            cwd=module,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DevError(f"go could not build the pause program:\n{done.stderr}")
        temporary = target.with_suffix(".new")
        temporary.write_bytes(pack(program.read_bytes(), platform.machine()))
        temporary.replace(target)
        program.unlink()
    return target


def pack(program: bytes, machine: str) -> bytes:
    """A docker archive of one layer that holds `/pause` and runs it as an unprivileged user."""
    layer = _tar({"pause": program})
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    return _tar({"manifest.json": json.dumps(manifest).encode(), "config.json": config, "layer.tar": layer})


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
