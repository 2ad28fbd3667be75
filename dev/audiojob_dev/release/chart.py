"""The packaged chart. Helm's own ``package`` writes the times of files, so that no two archives are the same."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from audiojob_dev.errors import DevError
from audiojob_dev.images.build import values_key

# What only serves development.
_LEFT_OUT: Final = frozenset({"ci"})


def name_and_version(chart: Path) -> tuple[str, str]:
    """Of the chart in this folder."""
    described = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    return described["name"], described["version"]


def package(chart: Path, images: Mapping[str, str], moment: int) -> bytes:
    """The chart's archive. ``images``: references with digests, by image; ``moment``: seconds, the time of all files.

    Raises DevError where values.yaml has no place for an image.
    """
    name, _ = name_and_version(chart)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(path for path in chart.rglob("*") if path.is_file()):
            place = file.relative_to(chart)
            if place.parts[0] in _LEFT_OUT:
                continue
            content = file.read_bytes()
            if place == Path("values.yaml"):
                content = with_images(content.decode("utf-8"), images).encode("utf-8")
            entry = tarfile.TarInfo(f"{name}/{place.as_posix()}")
            entry.size, entry.mtime, entry.mode = len(content), moment, 0o644
            tar.addfile(entry, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=moment) as stream:
        stream.write(archive.getvalue())
    return packed.getvalue()


def with_images(values: str, images: Mapping[str, str]) -> str:
    """values.yaml with these references as the defaults of ``images``; its comments stay. Raises DevError."""
    for image, reference in images.items():
        repository, _, digest = reference.partition("@")
        if not digest.startswith("sha256:"):
            raise DevError(f"{reference} has no digest: only an image named by its content is released.")
        key = values_key(image)
        block = re.compile(rf'(^  {key}:\n    repository: )\S+(\n    tag: "")(\n    digest: )""', re.MULTILINE)
        values, count = block.subn(rf'\g<1>{repository}\g<2>\g<3>"{digest}"', values)
        if count != 1:
            raise DevError(f"values.yaml has no images.{key} with repository, tag and digest in this order.")
    return values
