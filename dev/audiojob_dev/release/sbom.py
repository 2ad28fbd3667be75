"""What is in an image, as a CycloneDX document: its locked Python packages, and its Debian packages."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from audiojob_dev.tools.licenses import PINNED
from audiojob_dev.tools.versions import DEBIAN_SUITE

_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_INSTALLED: Final = "install ok installed"


def document(name: str, version: str, lock: str, dpkg_status: str, moment: datetime) -> str:
    """The SBOM of an image as JSON. ``lock``: its requirements with hashes; ``dpkg_status``: /var/lib/dpkg/status."""
    root = Component(
        name=name, version=version, type=ComponentType.CONTAINER, purl=PackageURL("oci", None, name, version)
    )
    root.bom_ref.value = name
    bom = Bom(components=[*python_packages(lock), *debian_packages(dpkg_status)])
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    bom.metadata.timestamp = moment.astimezone(UTC)
    # The same content has the same number, whenever it was made.
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{name}@{version}\n{lock}\n{dpkg_status}")
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def python_packages(lock: str) -> Iterator[Component]:
    """The packages of a lock, with the hashes of the files that may be installed."""
    for entry in lock.replace("\\\n", " ").splitlines():
        if found := PINNED.match(entry):
            name, version = found.groups()
            yield _component(PackageURL("pypi", None, name, version), sorted(_HASH.findall(entry)))


def debian_packages(dpkg_status: str) -> Iterator[Component]:
    """The installed packages of a Debian system."""
    for paragraph in dpkg_status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status") == _INSTALLED:
            qualifiers = {"arch": fields["Architecture"], "distro": DEBIAN_SUITE}
            yield _component(PackageURL("deb", "debian", fields["Package"], fields["Version"], qualifiers), [])


def _component(purl: PackageURL, hashes: list[str]) -> Component:
    return Component(
        name=purl.name,
        version=purl.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=text) for text in hashes],
    )
