"""The oldest versions without a known hole, of what the images contain. Tests compare locks and images with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import Version


@dataclass(frozen=True, slots=True)
class Floor:
    """The first version without these holes."""

    version: str
    holes: str


# By package; one that is in no image is no fault, one that is there must be this new.
PYTHON_FLOORS: Mapping[str, Floor] = {
    "authlib": Floor("1.6.9", "CVE-2024-37568, CVE-2025-59420, CVE-2026-27962: tokens that are not what they say"),
    "fonttools": Floor("4.60.2", "CVE-2025-66034: files written where a font's designspace says"),
    "pillow": Floor("13.0", "CVE-2026-25990 and what releases up to 12.3 had: writes out of bounds while decoding"),
    "pyjwt": Floor("2.13", "CVE-2022-29217, CVE-2026-32597, CVE-2026-48522 to -48526: forged tokens, keys from files"),
    "python-multipart": Floor(
        "0.0.27", "CVE-2024-24762, CVE-2024-53981, CVE-2026-24486, -40347, -42561: endless parsing, paths in names"
    ),
    "requests": Floor("2.32.4", "CVE-2024-47081: credentials to another host"),
    "starlette": Floor(
        "1.3.1",
        "CVE-2024-47874, CVE-2025-54121, CVE-2025-62727, CVE-2026-48710, -48817, -48818, -54282, -54283: "
        "forged paths, forms and ranges without limit",
    ),
    "torch": Floor("2.10", "CVE-2025-32434, CVE-2026-24747: code in weights that are read with weights_only"),
    "urllib3": Floor("2.6.3", "CVE-2025-66418, -66471, CVE-2026-21441: answers that grow when they are unpacked"),
    "yt-dlp": Floor(
        "2026.7.4",
        "CVE-2023-35934, CVE-2023-46121, CVE-2024-38519, CVE-2026-26331, -50019, -50023, -50574, -55404: "
        "cookies to other hosts, files that run",
    ),
}
# Packages that must not be there in any version.
BANNED: Mapping[str, str] = {
    "mutagen": "it is GPL, and yt-dlp[default] brings it",
    "python-jose": "CVE-2024-33663, CVE-2024-33664: it takes tokens of the wrong kind, and is not mended",
}
# By Debian package: the version with Debian's own mendings, by its suite. Debian keeps the number of the release.
DEBIAN_FLOORS: Mapping[str, Mapping[str, Floor]] = {
    "bookworm": {"ffmpeg": Floor("7:5.1.9-0+deb12u1", "CVE-2025-1594, CVE-2025-9951 and what Debian mended before")},
}
# What a distribution may not have mended yet is out of reach: the runner never opens it (audiojob_runner.media.ffmpeg).
UNREACHABLE_DECODERS: Mapping[str, str] = {"magicyuv": "CVE-2026-8461"}


def too_old(installed: Mapping[str, str], floors: Mapping[str, Floor] = PYTHON_FLOORS) -> list[str]:
    """One sentence for each package that is below its floor, or must not be there. Names in any spelling."""
    found = []
    for name, version in sorted((_normal(name), version) for name, version in installed.items()):
        floor = floors.get(name)
        if floor is not None and Version(version) < Version(floor.version):
            found.append(f"{name} {version} is older than {floor.version}: {floor.holes}")
        if name in BANNED:
            found.append(f"{name} must not be there: {BANNED[name]}")
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
