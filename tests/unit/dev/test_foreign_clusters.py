"""Clusters that are not the embedded one: how images get there. The programs that do it are stand-ins on PATH."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from audiojob_dev import prepare
from audiojob_dev.errors import DevError
from audiojob_dev.images import build as images
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress

BUILT = {"runner": "docker.io/audiojob/runner:abc", "control": "docker.io/audiojob/control:def"}


class RecordingBuildah:
    """Notes what buildah would be told; an archive is a file with the image's name in it."""

    calls: list[tuple[str, ...]] = []  # noqa: RUF012 - emptied for each test

    def __init__(self, _paths: Paths) -> None:
        pass

    def run(self, *arguments: str, **_: Any) -> None:
        self.calls.append(arguments)

    def write_archive(self, reference: str, file: Path) -> None:
        assert not file.exists(), "an archive is not added to"
        file.write_text(reference)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty cache; everything is built already, and PATH holds nothing but the system's own programs."""
    RecordingBuildah.calls = []
    monkeypatch.setattr(images, "Buildah", RecordingBuildah)
    monkeypatch.setattr(images, "build", lambda _paths, names, _progress: {name: BUILT[name] for name in names})
    (tmp_path / "programs").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:/usr/bin:/bin")
    found = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    found.cache.mkdir()
    return found


def kind(paths: Paths, *, status: int = 0) -> Path:
    """A `kind` that writes down how it was called, and what was in the archive."""
    log = paths.cache / "kind.log"
    program = paths.cache.parent / "programs" / "kind"
    program.write_text(
        f'#!/bin/sh\necho "$1 $2 $4 $5" "$(cat "$3")" >> {log}\necho "no nodes found" >&2\nexit {status}\n'
    )
    program.chmod(0o755)
    return log


def test_kind_is_given_each_image_as_an_archive_of_its_own_and_none_stays(paths: Paths) -> None:
    log = kind(paths)
    with Progress() as progress:
        assert images.load_into_kind(paths, BUILT, "kind-dev", progress) == BUILT
    assert log.read_text().splitlines() == [f"load image-archive --name dev {tag}" for tag in BUILT.values()]
    assert [file.name for file in paths.cache.iterdir()] == ["kind.log"]


def test_what_kind_complains_about_is_told_and_no_archive_stays(paths: Paths) -> None:
    kind(paths, status=1)
    with Progress() as progress, pytest.raises(DevError, match=r"kind load .*runner:abc: no nodes found"):
        images.load_into_kind(paths, BUILT, "kind-dev", progress)
    assert not list(paths.cache.glob("*.tar"))


@pytest.mark.parametrize(
    ("context", "installed"),
    [
        pytest.param("kind-dev", False, id="there is no program kind"),
        pytest.param("production", True, id="the context is none of kind's"),
    ],
)
def test_a_cluster_that_cannot_be_loaded_names_the_ways_there_are(paths: Paths, context: str, installed: bool) -> None:
    if installed:
        kind(paths)
    with Progress() as progress, pytest.raises(DevError, match=rf"CONTEXT={context}: images get there by REGISTRY="):
        images.load_into_kind(paths, BUILT, context, progress)


@pytest.mark.parametrize(
    ("registry", "options"),
    [
        pytest.param("registry.example.org/team", (), id="a registry with TLS"),
        pytest.param("localhost:5001", ("--tls-verify=false",), id="one on this machine speaks plain HTTP"),
    ],
)
def test_a_registry_is_pushed_to_under_its_own_names(paths: Paths, registry: str, options: tuple[str, ...]) -> None:
    with Progress() as progress:
        pushed = images.push(paths, ["runner"], registry, progress)
    assert pushed["runner"].startswith(f"{registry}/runner:")
    assert RecordingBuildah.calls == [("push", "--quiet", *options, BUILT["runner"], f"docker://{pushed['runner']}")]


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        pytest.param({"REGISTRY": "r.example.org/x/"}, "push r.example.org/x", id="REGISTRY: pushed there"),
        pytest.param({"CONTEXT": "kind-dev"}, "kind kind-dev", id="CONTEXT alone: loaded by kind"),
        pytest.param(
            {"CONTEXT": "kind-dev", "REGISTRY": "localhost:5001"},
            "push localhost:5001",
            id="both: the cluster pulls from the registry",
        ),
    ],
)
def test_the_environment_chooses_the_way(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], way: str
) -> None:
    taken: list[str] = []

    def push(_paths: Paths, _names: Iterable[str], registry: str, _progress: Progress) -> dict[str, str]:
        taken.append(f"push {registry}")
        return BUILT

    def load(_paths: Paths, _names: Iterable[str], context: str, _progress: Progress) -> dict[str, str]:
        taken.append(f"kind {context}")
        return BUILT

    monkeypatch.setattr(images, "push", push)
    monkeypatch.setattr(images, "load_into_kind", load)
    with Progress() as progress:
        assert prepare.images_where_needed(paths, progress, BUILT, environment) == BUILT
    assert taken == [way]
