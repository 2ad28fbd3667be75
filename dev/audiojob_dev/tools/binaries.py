"""Builds the pinned Go programs once; they lie at `<cache>/bin/<key>/<name>`.

Each program has a lock of its own, so that two commands share the work, and a program appears under its name only
when it is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths, repository
from audiojob_dev.progress import Progress, Step
from audiojob_dev.tools import golang, processes
from audiojob_dev.tools.locks import locked
from audiojob_dev.tools.versions import (
    BINARIES,
    KUBERNETES_VERSION,
    Binary,
    binaries_key,
    go_module_directory,
    linker_flags,
    version_flags,
)

_BUILD_SECONDS = 3600.0
_VERSION_SECONDS = 30.0
_KUBECTL_VERSION = re.compile(r'"gitVersion":\s*"v(\d+)\.(\d+)')


def folder(paths: Paths) -> Path:
    return paths.cache / "bin" / binaries_key(go_module_directory(repository()))


def missing(paths: Paths, names: Iterable[str]) -> list[str]:
    return [name for name in names if not (folder(paths) / name).exists()]


def ensure(paths: Paths, names: Iterable[str], progress: Progress) -> Path:
    """Build what is missing of `names`, in the order of versions.BINARIES, and return their folder.

    Raises DevError with the compiler's last lines.
    """
    wanted = set(names)
    unknown = wanted - {binary.name for binary in BINARIES}
    if unknown:
        raise ValueError(f"no such programs: {sorted(unknown)}")
    target = folder(paths)
    todo = [binary for binary in BINARIES if binary.name in missing(paths, wanted)]
    if not todo:
        return target
    target.mkdir(parents=True, exist_ok=True)
    if any(binary.name == "kubectl" for binary in todo) and link_installed_kubectl(target):
        todo = [binary for binary in todo if binary.name != "kubectl"]
    go = golang.find_or_install(paths.cache)
    for number, binary in enumerate(todo, 1):
        with progress.step(f"build {binary.name} ({number}/{len(todo)})") as step:
            _build(go, binary, target, step)
    return target


def link_installed_kubectl(target: Path) -> bool:
    """Link the machine's own kubectl into `target` if it may talk to this API server: at most one minor apart."""
    installed = shutil.which("kubectl")
    if installed is None:
        return False
    command = [installed, "version", "--client", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_VERSION_SECONDS)
    version = _KUBECTL_VERSION.search(done.stdout)
    ours = tuple(int(part) for part in KUBERNETES_VERSION.split("."))
    if version is None or int(version[1]) != ours[0] or abs(int(version[2]) - ours[1]) > 1:
        return False
    fresh = target / f".kubectl.{os.getpid()}"
    fresh.symlink_to(Path(installed).resolve())
    fresh.replace(target / "kubectl")
    return True


def ensure_apart(paths: Paths, binary: Binary, progress: Progress) -> Path:
    """Build a program that is not in versions.BINARIES, unless it is there, and return its path.

    Raises DevError with the compiler's last lines.
    """
    version = binary.module_version or binaries_key(go_module_directory(repository()), [binary])
    target = paths.cache / "bin" / f"{binary.name}-{version}"
    if not (target / binary.name).exists():
        target.mkdir(parents=True, exist_ok=True)
        with progress.step(f"build {binary.name}") as step:
            _build(golang.find_or_install(paths.cache), binary, target, step)
    return target / binary.name


def _build(go: Path, binary: Binary, target: Path, step: Step) -> None:
    def waiting() -> None:
        step.detail = "another command builds it"

    lock = target / f".{binary.name}.lock"
    with locked(lock, seconds=_BUILD_SECONDS, holder=f"a build of {binary.name}", on_wait=waiting):
        if (target / binary.name).exists():
            return
        fresh = target / f".{binary.name}.new"
        step.detail = ""
        if binary.module_version:
            _install_module(go, binary, fresh, step)
        else:
            flags = ["-ldflags", version_flags(), "-o", str(fresh), binary.package]
            _run([str(go), "build", "-v", "-trimpath", "-buildvcs=false", *flags], {}, binary, step)
        fresh.replace(target / binary.name)


def _install_module(go: Path, binary: Binary, fresh: Path, step: Step) -> None:
    """`go install module@version` takes its dependencies from that module's own go.mod and checks them by sumdb."""
    scratch = fresh.with_name(f".{binary.name}.install")
    scratch.mkdir(exist_ok=True)
    package = f"{binary.package}@{binary.module_version}"
    flags = ["-v", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags(binary.variables), package]
    _run([str(go), "install", *flags], {"GOBIN": str(scratch)}, binary, step)
    (scratch / Path(binary.package).name).replace(fresh)
    scratch.rmdir()


def _run(command: list[str], extra: dict[str, str], binary: Binary, step: Step) -> None:
    """Run the Go tool in the module's folder and count the packages that it reports as compiled."""
    # `go install module@version` has no go.mod of ours to keep unchanged.
    flags = "" if binary.module_version else "-mod=readonly"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags, **extra}
    # Our lock ends with us: a compiler that outlived us would write into the next command's file.
    process = subprocess.Popen(
        processes.dying_with_parent(command),
        cwd=go_module_directory(repository()) / binary.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    compiled = 0
    try:
        assert process.stderr is not None
        for line in process.stderr:
            lines = [*lines[-30:], line]
            compiled += not line.startswith("go: ")
            step.detail = line.strip()[:60] if line.startswith("go: ") else f"{compiled} packages compiled"
    except BaseException:
        process.kill()
        raise
    finally:
        process.communicate()
    if process.returncode:
        raise DevError(f"go could not build {binary.name}:\n{''.join(lines)}")
