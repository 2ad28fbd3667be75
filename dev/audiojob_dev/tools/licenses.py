"""Every licence of what the images and the tools install, and what NOTICE does not allow. `make licenses` runs it.

Locked packages are read as they are installed here, by their own metadata. Permissive licences pass; MPL, LGPL,
NVIDIA's and packages that state none pass where NOTICE names them; the GPL passes only for separate programs.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from audiojob_dev.errors import DevError

IMAGE_LOCKS = ("control.txt", "runner.txt", "runner-torch.txt", "runner-music.txt")

PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
"""Name and version of each package of a lock."""


class Verdict(IntEnum):
    """What a licence asks for; of several that hold at once the highest counts."""

    FREE = 0
    NAMED = 1  # only unmodified, and named in NOTICE
    UNSTATED = 2  # the metadata says nothing, so that somebody has to look: named in NOTICE
    UNKNOWN = 3  # in no list here
    NEVER = 4  # must not be imported


_FREE = frozenset({
    "0bsd", "apache-2.0", "blueoak-1.0.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0", "hpnd", "isc", "mit",
    "mit-0", "mit-cmu", "psf-2.0", "python-2.0", "unicode-3.0", "unlicense", "zlib",
})  # fmt: skip
_NAMED = frozenset({"mpl-2.0", "ofl-1.1", "licenseref-nvidia-proprietary"})
_COPYLEFT = re.compile(r"^(?P<lesser>l)?a?gpl(-[0-9.]+(-only|-or-later|\+)?)?$")
_GCC_EXCEPTIONS = frozenset({"gcc-exception-2.0", "gcc-exception-3.1"})

# Words of metadata from before PEP 639, as SPDX identifiers. Longer ones first where one begins another.
_WORDS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd, public domain": "BSD-3-Clause AND CC0-1.0",
    "gnu affero general public license v3": "AGPL-3.0",
    "gnu general public license (gpl)": "GPL",
    "gnu general public license v2 (gplv2)": "GPL-2.0",
    "gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later",
    "gnu general public license v3 (gplv3)": "GPL-3.0",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "gnu library or lesser general public license (lgpl)": "LGPL",
    "gplv2": "GPL-2.0",
    "gplv2+": "GPL-2.0-or-later",
    "gplv3": "GPL-3.0",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
    "public domain": "CC0-1.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zlib/libpng license": "Zlib",
}
# Words that must not be passed over because others beside them could be read.
_STRICT = re.compile(r"gpl|general public|propriet|commercial", re.IGNORECASE)
# Classifiers that name no licence.
_VAGUE = frozenset({"osi approved", "dfsg approved", "other/proprietary license"})


@dataclass(frozen=True, slots=True)
class Package:
    """One thing that is installed. `locks` says by which lock files; `program`: run, and linked with nothing."""

    name: str
    version: str
    licence: str  # an SPDX expression; "" where none is stated
    locks: tuple[str, ...] = ()
    program: bool = False
    installed: bool = True

    @property
    def shipped(self) -> bool:
        """Whether an image contains it, so that we pass it on."""
        return self.program or any(lock in IMAGE_LOCKS for lock in self.locks)


# What apt installs into the images besides what Debian itself is made of. A new one needs its line here.
DEBIAN_PACKAGES = {
    "ca-certificates": "MPL-2.0 AND GPL-2.0-or-later",  # Mozilla's list; the GPL is that of the script that installs it
    "espeak-ng": "GPL-3.0-or-later",
    "ffmpeg": "GPL-2.0-or-later",
    "fonts-noto-cjk": "OFL-1.1",
    "fonts-noto-core": "OFL-1.1",
    "python3": "PSF-2.0",
}
# Only the stage of the installer has them, which no image contains.
_INSTALLER_ONLY = frozenset({"python3-venv"})


# ---------------------------------------------------------------- what a licence asks for


def verdict(expression: str) -> Verdict:
    """The verdict on an SPDX expression: of `A OR B` the better one counts, of `A AND B` the worse.

    What cannot be read is UNKNOWN, never free.
    """
    if not expression.strip():
        return Verdict.UNSTATED
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    found, rest = _either(tokens)
    return Verdict.UNKNOWN if rest or found is None else found


def _either(tokens: list[str]) -> tuple[Verdict | None, list[str]]:
    found, tokens = _both(tokens)
    while tokens and tokens[0].upper() == "OR":
        other, tokens = _both(tokens[1:])
        found = None if found is None or other is None else min(found, other)
    return found, tokens


def _both(tokens: list[str]) -> tuple[Verdict | None, list[str]]:
    found, tokens = _one(tokens)
    while tokens and tokens[0].upper() == "AND":
        other, tokens = _one(tokens[1:])
        found = None if found is None or other is None else max(found, other)
    return found, tokens


def _one(tokens: list[str]) -> tuple[Verdict | None, list[str]]:
    if not tokens or tokens[0] == ")":
        return None, tokens
    if tokens[0] == "(":
        found, rest = _either(tokens[1:])
        return (found, rest[1:]) if rest[:1] == [")"] else (None, rest)
    if len(tokens) > 2 and tokens[1].upper() == "WITH":
        return _with_exception(tokens[0], tokens[2]), tokens[3:]
    return _licence(tokens[0]), tokens[1:]


def _with_exception(licence: str, exception: str) -> Verdict:
    plain = _licence(licence)
    # The exception is what lets programs link with GCC's own libraries whatever their licence.
    return Verdict.NAMED if plain is Verdict.NEVER and exception.lower() in _GCC_EXCEPTIONS else plain


def _licence(identifier: str) -> Verdict:
    name = identifier.lower()
    copyleft = _COPYLEFT.match(name)
    if copyleft:
        return Verdict.NAMED if copyleft["lesser"] else Verdict.NEVER
    if name in _FREE:
        return Verdict.FREE
    return Verdict.NAMED if name in _NAMED else Verdict.UNKNOWN


def licence_of(expressions: Iterable[str], texts: Iterable[str], classifiers: Iterable[str]) -> str:
    """The SPDX expression that a package's metadata amounts to; "" where it states nothing.

    A License-Expression stands for itself. Before there was one, packages filled a free field, classifiers, or both:
    all that can be read of these holds at once, so that a permissive word never hides another one.
    """
    stated = [expression for expression in expressions if expression.strip()]
    if stated:
        return " AND ".join(f"({each})" if len(stated) > 1 else each for each in stated)
    # The free field often holds a whole licence text; its first line names it.
    words = [text.strip().split("\n")[0] for text in texts if text.strip()]
    named = [line.rsplit(" :: ", 1)[-1] for line in classifiers if line.startswith("License :: ")]
    named = [name for name in named if name.lower() not in _VAGUE]
    known = list(dict.fromkeys(spdx for name in [*words, *named] if (spdx := _spdx(name)) is not None))
    unread = [name for name in [*words, *named] if _spdx(name) is None]
    if not known or any(_STRICT.search(name) for name in unread):
        # Something is said, in words that are in no list: it is shown as it is, and is not free.
        return " ".join([*words, *named])
    return known[0] if len(known) == 1 else " AND ".join(f"({each})" if " " in each else each for each in known)


def _spdx(words: str) -> str | None:
    spdx = _WORDS.get(words.lower().strip(), words.strip())
    return spdx if verdict(spdx) not in (Verdict.UNKNOWN, Verdict.UNSTATED) else None


# ---------------------------------------------------------------- what NOTICE allows


def names_in_notice(notice: str) -> frozenset[str]:
    """What the indented lines of NOTICE name: one package, or several with commas between, then what is said of it."""
    names: set[str] = set()
    for line in notice.splitlines():
        found = re.match(r"  (?P<names>[a-z0-9][-a-z0-9._]*(?:, [a-z0-9][-a-z0-9._]*)*)(?:,?$|  | \()", line)
        if found:
            names.update(found["names"].split(", "))
    return frozenset(names)


def objections(packages: Iterable[Package], notice: str) -> list[str]:
    """One sentence for each package that must not be there, or must be named in NOTICE and is not."""
    named = names_in_notice(notice)
    found = []
    for package in packages:
        sentence = _objection(package, package.name in named)
        if sentence:
            found.append(sentence)
    return found


def _objection(package: Package, named: bool) -> str | None:
    judged = verdict(package.licence)
    what = f"{package.name} {package.version}".strip()
    where = f" ({', '.join(package.locks)})" if package.locks else ""
    if not package.installed:
        return (
            f"{what}{where} is not installed here, so its licence cannot be read: make venv"
            if package.shipped
            else None
        )
    if judged is Verdict.UNKNOWN:
        return (
            f"{what}{where} is under {package.licence!r}, which dev/audiojob_dev/tools/licenses.py does not know: "
            "read it, and add it to a list there"
        )
    if judged is Verdict.NEVER and not package.program:
        return f"{what}{where} is under {package.licence}: the GPL is never imported; use another package"
    if judged is not Verdict.FREE and package.shipped and not named:
        return f"{what}{where} is under {package.licence or 'no licence that it states'}, and NOTICE does not name it"
    return None


def stale_names(packages: Iterable[Package], notice: str) -> list[str]:
    """What NOTICE names and no image has, one sentence each."""
    there = {package.name for package in packages if package.shipped}
    # ffprobe comes with ffmpeg.
    gone = sorted(names_in_notice(notice) - there - {"ffprobe"})
    return [f"NOTICE names {name}, which no image has any more" for name in gone]


# ---------------------------------------------------------------- what is there


def locked(root: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Version and lock files by package."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for file in sorted((root / "requirements").glob("*.txt")):
        for name, version in PINNED.findall(file.read_text(encoding="utf-8")):
            _, locks = found.get(name, (version, ()))
            found[name] = (version, (*locks, file.name))
    return found


def locked_packages(root: Path) -> list[Package]:
    """Every locked package with the licence that its installed metadata states, by name."""
    packages = []
    for name, (version, locks) in sorted(locked(root).items()):
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            packages.append(Package(name, version, "", locks, installed=False))
            continue
        licence = licence_of(
            metadata.get_all("License-Expression") or (),
            metadata.get_all("License") or (),
            metadata.get_all("Classifier") or (),
        )
        packages.append(Package(name, version, licence, locks))
    return packages


def debian_packages(dockerfile: str, known: Mapping[str, str] = DEBIAN_PACKAGES) -> list[Package]:
    """What apt installs into the images. Raises DevError for a package whose licence nobody has looked up."""
    names: set[str] = set()
    for install in re.findall(r"apt-get install((?:[ \t]+[^\s&;]+)+)", dockerfile.replace("\\\n", " ")):
        names.update(word for word in install.split() if not word.startswith("-"))
    names -= _INSTALLER_ONLY
    for name in sorted(names):
        if name not in known:
            raise DevError(
                f"images/Dockerfile installs {name}: add its licence to DEBIAN_PACKAGES in "
                "dev/audiojob_dev/tools/licenses.py, and if it is not permissive to NOTICE."
            )
    return [Package(name, "", known[name], program=True) for name in sorted(names)]


def report(packages: Iterable[Package]) -> str:
    """The list, one package a line."""
    rows = []
    for package in packages:
        where = "apt, a program of its own" if package.program else ", ".join(package.locks)
        licence = package.licence or ("states none" if package.installed else "not installed here")
        rows.append((f"{package.name} {package.version}".strip(), licence, where))
    widths = [min(60, max(len(row[column]) for row in rows)) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {licence:<{widths[1]}}  {where}" for name, licence, where in rows)


def check(root: Path) -> tuple[str, list[str]]:
    """The list of everything, and what is wrong with it."""
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    dockerfile = (root / "images" / "Dockerfile").read_text(encoding="utf-8")
    packages = [*locked_packages(root), *debian_packages(dockerfile)]
    return report(packages), [*objections(packages, notice), *stale_names(packages, notice)]
