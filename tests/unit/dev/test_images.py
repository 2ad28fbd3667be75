"""Names of images, what is loaded of them, and what is removed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from audiojob_dev.cluster import pause, volumes
from audiojob_dev.errors import DevError
from audiojob_dev.images import build as images
from audiojob_dev.images import load as imageload
from audiojob_dev.paths import repository
from audiojob_dev.tools.versions import binaries_key, go_module_directory


def _tree(root: Path) -> None:
    (root / "package").mkdir()
    (root / "package" / "a.py").write_text("a = 1\n")
    (root / "LICENSE").write_text("text\n")


def test_the_tag_follows_names_and_contents_and_ignores_bytecode(tmp_path: Path) -> None:
    _tree(tmp_path)
    sources = ("LICENSE", "package")
    first = images.content_tag(tmp_path, sources)
    (tmp_path / "package" / "__pycache__").mkdir()
    (tmp_path / "package" / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert images.content_tag(tmp_path, sources) == first
    (tmp_path / "package" / "a.py").write_text("a = 2\n")
    changed = images.content_tag(tmp_path, sources)
    (tmp_path / "package" / "a.py").rename(tmp_path / "package" / "b.py")
    assert len({first, changed, images.content_tag(tmp_path, sources)}) == 3


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DevError, match=r"requirements/none\.txt"):
        images.content_tag(tmp_path, ("requirements/none.txt",))


def test_everything_that_the_dockerfile_copies_is_part_of_some_tag() -> None:
    dockerfile = (repository() / "images" / "Dockerfile").read_text()
    copied = {
        source
        for line in dockerfile.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    known = {*images.COMMON_SOURCES, *(source for image in images.IMAGES for source in image.sources)}
    assert copied <= known


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        pytest.param("localhost:5001/audiojob", "localhost", id="a port and a path"),
        pytest.param("registry.invalid/team/audiojob", "registry.invalid", id="no port"),
        pytest.param("registry.invalid", "registry.invalid", id="a host alone"),
    ],
)
def test_the_host_of_a_registry_is_found(registry: str, host: str) -> None:
    assert images.registry_host(registry) == host


def test_older_tags_go_and_current_kept_and_foreign_images_stay() -> None:
    there = ["docker.io/audiojob/runner:1", "docker.io/audiojob/runner:2", "docker.io/audiojob/runner:3"]
    foreign = ["docker.io/library/debian:slim", "sha256:1234"]
    gone = imageload.outdated([*there, *foreign], ["docker.io/audiojob/runner:3"], {"docker.io/audiojob/runner:2"})
    assert gone == ["docker.io/audiojob/runner:1"]


def _write_blob(layout: Path, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return f"sha256:{digest}"


def test_only_layers_that_are_not_there_yet_are_sent(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    config, old, new = (_write_blob(tmp_path, data) for data in (b"config", b"old layer", b"new layer"))
    manifest: dict[str, Any] = {"config": {"digest": config}, "layers": [{"digest": old}, {"digest": new}]}
    digest = _write_blob(tmp_path, json.dumps(manifest).encode())
    index = imageload.named_index({"manifests": [{"digest": digest}]}, "docker.io/audiojob/runner:7")
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/audiojob/runner:7"
    sent = [f"sha256:{blob.name}" for blob in imageload.needed_blobs(tmp_path, index, {old, config})]
    assert sent == [digest, config, new]


def test_the_pause_image_holds_the_program_and_names_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(pause.pack(b"program", "x86_64"))) as archive:
        entries = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        files = {name: file.read() for name, file in entries.items() if file}
    config = json.loads(files["config.json"])
    assert config["architecture"] == "amd64"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(files['layer.tar']).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(files["layer.tar"])) as layer:
        program = layer.extractfile("pause")
        assert program is not None
        assert program.read() == b"program"


def test_new_volumes_are_numbered_after_the_last_one_in_use() -> None:
    assert volumes.next_names([], 2) == ["audiojob-local-0001", "audiojob-local-0002"]
    assert volumes.next_names(["audiojob-local-0007", "foreign", "audiojob-local-0002"], 1) == ["audiojob-local-0008"]


@pytest.mark.parametrize("changed", ["go.sum", "coredns/go.mod", "coredns/main.go"])
def test_programs_are_built_again_when_a_pinned_version_or_our_source_changes(changed: str, tmp_path: Path) -> None:
    shutil.copytree(go_module_directory(repository()), tmp_path, dirs_exist_ok=True)
    first = binaries_key(tmp_path)
    assert binaries_key(go_module_directory(repository())) == first
    with (tmp_path / changed).open("a") as file:
        file.write("// changed\n")
    assert binaries_key(tmp_path) != first


def test_references_become_values_of_the_chart() -> None:
    references = {"control": "host:5000/a/control:1", "runner": "b/runner:2", "runner-music": "b/runner-music:3"}
    assert images.chart_values(references) == {
        "images": {
            "control": {"repository": "host:5000/a/control", "tag": "1"},
            "runner": {"repository": "b/runner", "tag": "2"},
            "runnerMusic": {"repository": "b/runner-music", "tag": "3"},
        }
    }
