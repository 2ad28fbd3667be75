"""Versions without known holes: what the locks pin, and what a lock of another kind would be told."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from tests.unit.test_repository import IMAGE_LOCKS, LOCKS, pins, project

from audiojob_dev.tools.floors import BANNED, PYTHON_FLOORS, UNREACHABLE_DECODERS, too_old
from audiojob_runner.media import ffmpeg

IN_IMAGES = {"fonttools", "pillow", "requests", "starlette", "torch", "urllib3", "yt-dlp"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_nothing_with_a_known_hole(lock: str) -> None:
    assert too_old(pins(lock)) == []


def test_the_packages_that_have_floors_are_really_locked() -> None:
    locked = {name for lock in IMAGE_LOCKS for name in pins(lock)}
    assert locked >= IN_IMAGES
    assert PYTHON_FLOORS.keys() >= IN_IMAGES


@pytest.mark.parametrize("name", sorted(IN_IMAGES))
def test_the_floor_of_the_project_file_is_not_below_the_one_of_the_table(name: str) -> None:
    extras = project()["project"]["optional-dependencies"].values()
    requirements = [Requirement(each) for extra in extras for each in extra]
    lowest = [
        Version(specifier.version)
        for requirement in requirements
        if requirement.name == name
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]
    assert lowest, f"{name} has no floor in pyproject.toml"
    assert min(lowest) >= Version(PYTHON_FLOORS[name].version)


OLD: dict[str, tuple[dict[str, str], list[str]]] = {
    "the floor itself": ({"yt-dlp": "2026.7.4", "torch": "2.10.0", "starlette": "1.3.1"}, []),
    "newer, by number and not by letter": ({"torch": "2.15.0", "urllib3": "2.10.0"}, []),
    "a local version": ({"torch": "2.10.0+cpu"}, []),
    "an old one": ({"yt-dlp": "2026.6.9"}, ["yt-dlp 2026.6.9 is older than 2026.7.4"]),
    "one with zeros": ({"yt_dlp": "2026.07.03"}, ["yt-dlp 2026.07.03"]),
    "a pre-release of the floor": ({"torch": "2.10.0rc1"}, ["torch 2.10.0rc1"]),
    "two at once": ({"Starlette": "0.40", "urllib3": "2.5.0"}, ["starlette 0.40", "urllib3 2.5.0"]),
    "one that must not be there": ({"Python_Jose": "99"}, ["python-jose must not be there"]),
    "the GPL": ({"mutagen": "1.47"}, ["mutagen must not be there"]),
    "no floor": ({"numpy": "0.1"}, []),
}


@pytest.mark.parametrize(("installed", "beginnings"), OLD.values(), ids=OLD.keys())
def test_what_is_too_old(installed: dict[str, str], beginnings: list[str]) -> None:
    found = too_old(installed)
    assert len(found) == len(beginnings)
    assert all(sentence.startswith(begin) for sentence, begin in zip(found, beginnings, strict=True)), found


def test_every_floor_names_its_holes() -> None:
    assert all("CVE-" in floor.holes for floor in PYTHON_FLOORS.values())
    assert all(BANNED.values())


@pytest.mark.parametrize("decoder", UNREACHABLE_DECODERS)
def test_a_decoder_with_a_hole_is_in_no_white_list(decoder: str) -> None:
    assert decoder not in {*ffmpeg.AUDIO_DECODERS, *ffmpeg.OPENABLE_DECODERS}
