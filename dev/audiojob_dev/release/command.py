"""``make release``: everything that a release publishes, in one folder, and nothing else in it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml

from audiojob_api.app import Backend, create_app
from audiojob_api.cluster.jobs import KubeJobs
from audiojob_api.cluster.reviews import KubeAuthorizer
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.settings import ApiSettings
from audiojob_dev.errors import DevError
from audiojob_dev.images import build as images
from audiojob_dev.paths import Paths, repository
from audiojob_dev.progress import Progress
from audiojob_dev.release import chart, reference, sbom
from audiojob_dev.release.images import digests, dpkg_status
from audiojob_kube.client import connect
from audiojob_kube.config import Connection
from audiojob_types.constants import RELEASE

_CHECKSUMS = "SHA256SUMS"


def make(paths: Paths, folder: Path, registry: str, progress: Progress) -> list[Path]:
    """Write the files of the release into ``folder``, which is emptied first, and return them.

    The images are built where they are missing, and pushed where ``registry`` (host and path) is given.
    Raises DevError.
    """
    root = repository()
    moment = commit_time(root)
    local = images.build(paths, [image.name for image in images.IMAGES], progress)
    named = digests(paths, local, registry, progress)
    packages = {name: dpkg_status(paths, image) for name, image in local.items()}
    with progress.step("release"):
        return write(folder, contents(root, named, packages, moment))


def contents(
    root: Path, references: Mapping[str, str], packages: Mapping[str, str], moment: datetime
) -> dict[str, bytes]:
    """The files of a release by name. ``references``: the images by digest; ``packages``: their dpkg status, by image.

    The same arguments and tree give the same bytes.
    """
    folder = root / "charts" / "audiojob"
    name, version = chart.name_and_version(folder)
    if version != RELEASE:
        raise DevError(f"the chart's version is {version} and the release {RELEASE}: they must be the same")
    crds = [file.read_text(encoding="utf-8") for file in sorted((folder / "crds").glob("*.yaml"))]
    files = {
        f"{name}-{version}.tgz": chart.package(folder, references, int(moment.timestamp())),
        "audiojob-crds.yaml": "---\n".join(crds).encode(),
        "audiojob-resources.md": reference.page([yaml.safe_load(text) for text in crds], RELEASE).encode(),
        "audiojob-openapi.json": (json.dumps(openapi(), indent=2, sort_keys=True) + "\n").encode(),
        "images.json": (json.dumps(dict(sorted(references.items())), indent=2) + "\n").encode(),
    }
    for image, status in packages.items():
        lock = (root / "requirements" / f"{image}.txt").read_text(encoding="utf-8")
        files[f"audiojob-{image}.cdx.json"] = sbom.document(
            f"audiojob-{image}", references[image].partition("@")[2], lock, status, moment
        ).encode()
    sums = [f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in sorted(files.items())]
    return {**files, _CHECKSUMS: "".join(sums).encode()}


def write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write them into an empty folder. What was there of an earlier release would be published with it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in sorted(files)]


def openapi() -> dict[str, object]:
    """The API's description. The client behind it is never used."""
    client = connect(Connection("http://127.0.0.1:1"), user_agent="audiojob-release", field_manager="audiojob-release")
    jobs = KubeJobs(client, "default")
    backend = Backend(KubeAuthorizer(client), {"default": NamespaceJobs(jobs, jobs, jobs)}, jobs)
    return create_app(ApiSettings(namespace="default"), backend, asyncio.Event()).openapi()


def commit_time(root: Path) -> datetime:
    """When the commit was made from which a release is built: the time of all that has one. Raises DevError."""
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DevError(f"a release is made from a git checkout: {done.stderr.strip()}")
    return datetime.fromtimestamp(int(done.stdout), UTC)
