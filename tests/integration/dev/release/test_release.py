"""What a release holds, and that it is the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from audiojob_dev.errors import DevError
from audiojob_dev.paths import repository
from audiojob_dev.release import chart, reference, sbom
from audiojob_dev.release.command import contents, openapi, write
from audiojob_types.constants import RELEASE

MOMENT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
NAMES = ("control", "runner", "runner-torch", "runner-music")
IMAGES = {name: f"registry.example.org/audiojob/{name}@{DIGEST}" for name in NAMES}
DPKG = """Package: ffmpeg
Status: install ok installed
Architecture: amd64
Version: 7:7.1.1-1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Description: GNU C Library
 with a second line: and a colon
Version: 2.41-12
"""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return contents(repository(), IMAGES, dict.fromkeys(IMAGES, DPKG), MOMENT)


def test_the_same_tree_and_images_give_the_same_bytes(files: dict[str, bytes]) -> None:
    assert contents(repository(), IMAGES, dict.fromkeys(IMAGES, DPKG), MOMENT) == files


def test_every_file_has_its_checksum(files: dict[str, bytes]) -> None:
    lines = files["SHA256SUMS"].decode().splitlines()

    assert {name: digest for digest, name in (line.split("  ") for line in lines)} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "SHA256SUMS"
    }


def test_the_chart_names_the_images_by_digest(files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=io.BytesIO(files[f"audiojob-{RELEASE}.tgz"])) as tar:
        members = {member.name: member for member in tar.getmembers()}
        packed = tar.extractfile("audiojob/values.yaml")
        assert packed is not None
        text = packed.read().decode()
    values = yaml.safe_load(text)
    original = (repository() / "charts/audiojob/values.yaml").read_text(encoding="utf-8")

    assert {
        key: (image["repository"], image["digest"]) for key, image in values["images"].items() if "digest" in image
    } == {
        key: (f"registry.example.org/audiojob/{name}", DIGEST)
        for key, name in (
            ("control", "control"),
            ("runner", "runner"),
            ("runnerTorch", "runner-torch"),
            ("runnerMusic", "runner-music"),
        )
    }
    changed = [line for line in text.splitlines() if line not in original.splitlines()]
    assert len(changed) == 8, "four repositories and four digests: comments and all else stay"
    assert {member.mtime for member in members.values()} == {int(MOMENT.timestamp())}
    assert "audiojob/crds/audiojobs.yaml" in members
    assert not any(name.startswith("audiojob/ci/") for name in members)


@pytest.mark.parametrize(
    ("reference", "values", "words"),
    [
        ("registry.example.org/audiojob/control:1", None, "has no digest"),
        (IMAGES["control"], "images: {}\n", "no images.control"),
    ],
    ids=["an image by tag", "values without a place for it"],
)
def test_a_chart_that_would_not_name_its_images_by_digest_is_refused(
    reference: str, values: str | None, words: str
) -> None:
    text = values or (repository() / "charts/audiojob/values.yaml").read_text(encoding="utf-8")

    with pytest.raises(DevError, match=words):
        chart.with_images(text, {"control": reference})


def test_an_sbom_lists_python_and_debian_packages_with_their_hashes(files: dict[str, bytes]) -> None:
    document = json.loads(files["audiojob-runner.cdx.json"])
    components = {component["purl"]: component for component in document["components"]}
    lock = (repository() / "requirements/runner.txt").read_text(encoding="utf-8")
    pinned = [line for line in lock.splitlines() if line[:1].isalnum()]

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["timestamp"] == MOMENT.isoformat()
    assert sum(purl.startswith("pkg:pypi/") for purl in components) == len(pinned)
    assert all(component["hashes"] for purl, component in components.items() if purl.startswith("pkg:pypi/"))
    debian = sorted(purl.partition("?")[0] for purl in components if purl.startswith("pkg:deb/"))
    assert debian == ["pkg:deb/debian/ffmpeg@7:7.1.1-1", "pkg:deb/debian/libc6@2.41-12"]


def test_other_content_has_another_serial_number() -> None:
    def number(lock: str) -> str:
        text = sbom.document("audiojob-runner", DIGEST, lock, DPKG, MOMENT)
        return str(json.loads(text)["serialNumber"])

    assert number("a==1 \\\n    --hash=sha256:" + "0" * 64) != number("a==2 \\\n    --hash=sha256:" + "0" * 64)


def test_the_reference_names_every_field_of_the_types() -> None:
    crd = yaml.safe_load((repository() / "crds/audioqueues.yaml").read_text(encoding="utf-8"))

    page = reference.page([crd], RELEASE)

    assert "## AudioQueue `audiojobs.dev/v1alpha1`" in page
    for field in ("spec.maxRunning", "spec.maxGPUs", "spec.stopPolicy"):
        assert f"| `{field}` |" in page
    assert "`None` or `Hold` or `HoldAndDrain`" in page


def test_the_api_is_described_as_it_is_served() -> None:
    document = openapi()

    assert "/api/v1/jobs" in document["paths"]  # type: ignore[operator]


def test_nothing_of_an_earlier_release_is_published_again(tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "audiojob-0.0.9.tgz").write_bytes(b"old")

    made = write(folder, {"b": b"2", "a": b"1"})

    assert made == [folder / "a", folder / "b"]
    assert sorted(folder.iterdir()) == made
