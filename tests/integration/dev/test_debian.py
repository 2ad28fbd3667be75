"""Debian's packages are unpacked whole or not at all. apt-get and dpkg-deb are scripts, as the situation asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.tools import debian

DOWNLOADS = '[ "$2" = download ] && touch one_1_all.deb two_2_all.deb; echo "$@" >> "$LOG"\n'
WITH_AN_OLD_LIST = (
    'echo "$@" >> "$LOG"\n[ "$2" = update ] && touch "$LOG.new" && exit\n[ -e "$LOG.new" ] && touch one_1_all.deb\n'
)
REFUSES = 'echo "E: no such package"; exit 100\n'
UNPACKS = 'mkdir -p "$3/usr/bin" "$3/usr/share/much"; cp "$2" "$3/usr/bin/"\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def programs(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(log))
    return folder


def have(folder: Path, **scripts: str) -> None:
    for name, text in scripts.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{text}")
        file.chmod(0o755)


def test_packages_are_unpacked_together(programs: Path, log: Path, tmp_path: Path) -> None:
    have(programs, apt_get=DOWNLOADS, dpkg_deb=UNPACKS)
    debian.unpack(["one", "two"], tmp_path / "cache" / "target", without=["usr/share/much"])
    assert sorted(file.name for file in (tmp_path / "cache").rglob("*.deb")) == ["one_1_all.deb", "two_2_all.deb"]
    assert not (tmp_path / "cache" / "target" / "usr" / "share" / "much").exists()
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["target"]
    assert log.read_text().splitlines() == ["-qq download one two"]


def test_an_old_list_is_refreshed_once(programs: Path, log: Path, tmp_path: Path) -> None:
    have(programs, apt_get=WITH_AN_OLD_LIST, dpkg_deb=UNPACKS)
    debian.unpack(["one"], tmp_path / "target")
    assert log.read_text().splitlines() == ["-qq download one", "-qq update", "-qq download one"]


FAULTS = {
    "apt has no such package": (REFUSES, UNPACKS, "no such package"),
    "a package is broken": (DOWNLOADS, "echo 'not a package'; exit 2\n", "cannot unpack one_1_all.deb: not a package"),
}


@pytest.mark.parametrize(("apt", "dpkg", "words"), FAULTS.values(), ids=FAULTS)
def test_a_failure_leaves_nothing(programs: Path, tmp_path: Path, apt: str, dpkg: str, words: str) -> None:
    have(programs, apt_get=apt, dpkg_deb=dpkg)
    with pytest.raises(DevError, match=words):
        debian.unpack(["one"], tmp_path / "cache" / "target")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_machine_without_apt_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevError, match="this machine has no apt-get"):
        debian.unpack(["one"], tmp_path / "target")


def test_prometheus_is_fetched_once(programs: Path, log: Path, tmp_path: Path) -> None:
    have(programs, apt_get=DOWNLOADS, dpkg_deb=UNPACKS)
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    with Progress() as progress:
        found = [debian.prometheus(paths, progress) for _ in range(2)]
    assert found == [paths.cache / "prometheus"] * 2
    assert len(log.read_text().splitlines()) == 1


def test_postgresql_is_the_one_of_the_machine_or_that_of_its_release(programs: Path, log: Path, tmp_path: Path) -> None:
    unpacks = 'folder="$3/usr/lib/postgresql/15/bin"; mkdir -p "$folder"; touch "$folder/initdb"\n'
    have(programs, apt_get=DOWNLOADS, dpkg_deb=unpacks)
    paths, release = Paths(cache=tmp_path / "cache", state=tmp_path / "state"), tmp_path / "os-release"
    release.write_text('ID=debian\nVERSION_ID="12"\n')
    for version in ("9", "17"):
        (tmp_path / "usr/lib/postgresql" / version / "bin").mkdir(parents=True)
        (tmp_path / "usr/lib/postgresql" / version / "bin" / "initdb").touch()
    with Progress() as progress:
        assert debian.postgresql(paths, progress, release, tmp_path) == tmp_path / "usr/lib/postgresql/17/bin"
        fetched = debian.postgresql(paths, progress, release, tmp_path / "bare")
        assert fetched == paths.cache / "postgresql/usr/lib/postgresql/15/bin"
        assert "postgresql-15" in log.read_text()
        release.write_text("ID=other\n")
        with pytest.raises(DevError, match="Debian 12 and 13 alone"):
            debian.postgresql(paths, progress, release, tmp_path / "bare")
