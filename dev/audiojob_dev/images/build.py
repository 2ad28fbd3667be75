"""The product's images: named by what they are made of, built by buildah, skipped where they are there already."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic.alias_generators import to_camel

from audiojob_dev.errors import DevError
from audiojob_dev.images import base as baseimage
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.paths import Paths, repository
from audiojob_dev.progress import Progress, Step
from audiojob_dev.tools import packages
from audiojob_dev.tools.locks import locked

REGISTRY = "docker.io"
PROJECT = "audiojob"
_BUILD_SECONDS = 7200.0
COMMON_SOURCES = ("images/Dockerfile", "images/install-lock", "requirements/uv.txt", "LICENSE", "NOTICE")


@dataclass(frozen=True, slots=True)
class Image:
    """One target of images/Dockerfile; `sources` are the files and folders that it copies besides the common ones."""

    name: str
    sources: tuple[str, ...]


_RUNNER_SOURCES = ("requirements/runner.txt", "crds/audiojob_types", "runner/audiojob_store", "runner/audiojob_runner")
IMAGES = (
    Image(
        "control",
        (
            "requirements/control.txt",
            "crds/audiojob_types",
            "kube/audiojob_kube",
            "operator/audiojob_operator",
            "runner/audiojob_store",
            "api/audiojob_api",
            "api/audiojob_files",
        ),
    ),
    Image("runner", _RUNNER_SOURCES),
    Image("runner-torch", (*_RUNNER_SOURCES, "requirements/runner-torch.txt")),
    Image("runner-music", (*_RUNNER_SOURCES, "requirements/runner-music.txt")),
)


def content_tag(root: Path, sources: Iterable[str]) -> str:
    """12 hex digits over names, modes and contents of files, bytecode excepted.

    Raises DevError for a source that is not there.
    """
    digest = hashlib.sha256()
    for source in sources:
        place = root / source
        if not place.exists():
            raise DevError(f"{source} is missing; the images cannot be built without it.")
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        for file in files:
            if "__pycache__" in file.parts:
                continue
            executable = "x" if os.access(file, os.X_OK) else "-"
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(root)} {executable} {content}\n".encode())
    return digest.hexdigest()[:12]


def reference(image: Image, registry: str = f"{REGISTRY}/{PROJECT}") -> str:
    """The image's full reference in `registry` (host and path) as the sources are now."""
    return f"{registry}/{image.name}:{content_tag(repository(), (*COMMON_SOURCES, *image.sources))}"


def references(registry: str = f"{REGISTRY}/{PROJECT}") -> dict[str, str]:
    return {image.name: reference(image, registry) for image in IMAGES}


def image_value(reference: str) -> dict[str, str]:
    """A reference as the chart's `images.*` take it."""
    repository_name, tag = reference.rsplit(":", 1)
    return {"repository": repository_name, "tag": tag}


def chart_values(references: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Values of the chart that name these images, by image."""
    return {"images": {values_key(name): image_value(reference) for name, reference in references.items()}}


def values_key(name: str) -> str:
    """The member of the chart's `images` that names this image."""
    return to_camel(name.replace("-", "_"))


def build(paths: Paths, names: Iterable[str], progress: Progress, buildah: Buildah | None = None) -> dict[str, str]:
    """Build what is missing and return the local references of `names`; older builds of them are removed.

    Raises DevError with the end of buildah's output.
    """
    wanted = set(names)
    chosen = [image for image in IMAGES if image.name in wanted]
    buildah = buildah or Buildah(paths)
    # Also where the images are in the cache: the programs may have been removed since.
    if packages.missing_packages(packages.IMAGE_REQUIREMENTS):
        with progress.step("system packages for images") as step:
            packages.ensure(packages.IMAGE_REQUIREMENTS, announce=lambda text: setattr(step, "detail", text))
    result = {image.name: reference(image) for image in chosen}
    missing = [image for image in chosen if not buildah.has(result[image.name])]
    if not missing:
        return result
    with locked(paths.cache / "images.lock", seconds=_BUILD_SECONDS, holder="another build of the images"):
        baseimage.ensure(paths, buildah, progress)
        for number, image in enumerate(missing, 1):
            if not buildah.has(result[image.name]):
                with progress.step(f"image {image.name} ({number}/{len(missing)})") as step:
                    _build(paths, buildah, image.name, result[image.name], step, repository())
        for image in chosen:
            buildah.remove_others(result[image.name])
        buildah.remove_stale(time.time())
    return result


def build_earlier(paths: Paths, root: Path, name: str, progress: Progress) -> str:
    """Build an image from the sources of an earlier version in `root`, and return its local reference.

    It has a name of its own, so that neither version's builds remove the other's. Raises DevError.
    """
    image = next(each for each in IMAGES if each.name == name)
    # What it is built from is said by its own Dockerfile: packages that came later are none of it.
    sources = [source for source in (*COMMON_SOURCES, *image.sources) if (root / source).exists()]
    wanted = f"{REGISTRY}/{PROJECT}/{name}-earlier:{content_tag(root, sources)}"
    buildah = Buildah(paths)
    if not buildah.has(wanted):
        with locked(paths.cache / "images.lock", seconds=_BUILD_SECONDS, holder="another build of the images"):
            baseimage.ensure(paths, buildah, progress)
            with progress.step(f"image {name} of an earlier version") as step:
                _build(paths, buildah, name, wanted, step, root)
    return wanted


def _build(paths: Paths, buildah: Buildah, target: str, tag: str, step: Step, root: Path) -> None:
    options = ["--layers", "--pull-never", "--file", str(root / "images" / "Dockerfile"), "--target", target]
    options += ["--build-arg", f"BASE={baseimage.REFERENCE}", *machine_settings(paths), "--tag", tag]
    buildah.build([*options, str(root)], lambda line: setattr(step, "detail", line))


def machine_settings(paths: Paths) -> list[str]:
    """Registry, mirror and certificate settings of this machine, for the build only: secrets and mounts, no layers."""
    options: list[str] = []
    for secret, source in _secret_files(os.environ, Path.home()).items():
        if source.is_file():
            options += ["--secret", f"id={secret},src={source}"]
    sources = baseimage.apt_sources(paths)
    if sources:
        options += ["--volume", f"{sources}:/etc/apt/sources.list:ro"]
    return options


def _secret_files(environment: dict[str, str] | os._Environ[str], home: Path) -> dict[str, Path]:
    authority = environment.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
    uv = environment.get("UV_CONFIG_FILE") or str(home / ".config" / "uv" / "uv.toml")
    user_pip = home / ".config" / "pip" / "pip.conf"
    pip = environment.get("PIP_CONFIG_FILE") or (str(user_pip) if user_pip.exists() else "/etc/pip.conf")
    return {"ca": Path(authority), "pip": Path(pip), "uv": Path(uv)}


def push(paths: Paths, names: Iterable[str], registry: str, progress: Progress) -> dict[str, str]:
    """Push the images to `registry` (host and path) and return their references there."""
    wanted = list(names)
    local = build(paths, wanted, progress)
    remote = references(registry)
    buildah = Buildah(paths)
    options = push_options(registry)
    for name in wanted:
        with progress.step(f"push {remote[name]}"):
            buildah.run("push", "--quiet", *options, local[name], f"docker://{remote[name]}", timeout=3600)
    return {name: remote[name] for name in wanted}


def push_options(registry: str) -> list[str]:
    """Of buildah. Registries on this machine, as kind's guide sets one up, speak plain HTTP."""
    return ["--tls-verify=false"] if registry_host(registry) in ("localhost", "127.0.0.1") else []


def registry_host(registry: str) -> str:
    """`host` of `host[:port]/path`."""
    return registry.partition("/")[0].partition(":")[0]


def load_into_kind(paths: Paths, names: Iterable[str], context: str, progress: Progress) -> dict[str, str]:
    """Load the images into the kind cluster of a context `kind-<name>` with the `kind` program."""
    kind = shutil.which("kind")
    if kind is None or not context.startswith("kind-"):
        raise DevError(
            f"CONTEXT={context}: images get there by REGISTRY=<host/path>, "
            "or by the program kind for a context kind-<name>."
        )
    local = build(paths, names, progress)
    buildah = Buildah(paths)
    archive = paths.cache / "kind-load.tar"
    for name, tag in local.items():
        with progress.step(f"load {name} into {context}"):
            archive.unlink(missing_ok=True)
            try:
                buildah.write_archive(tag, archive)
                command = [kind, "load", "image-archive", str(archive), "--name", context.removeprefix("kind-")]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise DevError(f"kind load {tag}: {done.stderr.strip()}")
            finally:
                archive.unlink(missing_ok=True)
    return local
