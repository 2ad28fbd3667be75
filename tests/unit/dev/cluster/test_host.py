"""What is read from the machine."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from audiojob_dev.cluster import host
from audiojob_dev.errors import DevError
from audiojob_dev.images import base as baseimage
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.tools import golang, packages
from audiojob_dev.tools.packages import Requirement


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("Name:\tx\nCapEff:\t000001ffffffffff\n", True, id="all capabilities"),
        pytest.param("CapEff:\t000001fffeffffff\n", False, id="all but CAP_SYS_RESOURCE"),
        pytest.param("Name:\tx\n", False, id="no line at all"),
    ],
)
def test_oom_scores_may_be_lowered_with_cap_sys_resource(status: str, expected: bool) -> None:
    assert host.may_lower_oom_score(status) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("search x\nnameserver 10.0.0.1\n", True, id="one server"),
        pytest.param("# nameserver 10.0.0.1\nsearch x\n", False, id="only a comment"),
        pytest.param("", False, id="an empty file"),
    ],
)
def test_name_servers_are_found_in_resolv_conf(text: str, expected: bool) -> None:
    assert host.has_name_servers(text) is expected


def test_mounts_below_a_folder_come_innermost_first_and_its_neighbours_do_not() -> None:
    mounts = (
        "overlay /state/a overlay rw 0 0\n"
        "tmpfs /state/a/b\\040c tmpfs rw 0 0\n"
        "tmpfs /state-of-another/a tmpfs rw 0 0\n"
        "proc /proc proc rw 0 0\n"
    )
    assert host.mounts_below(mounts, Path("/state")) == ["/state/a/b c", "/state/a"]


def test_mounts_below_a_folder_are_found_through_a_symbolic_link_and_with_letters_of_any_language(
    tmp_path: Path,
) -> None:
    real, link = tmp_path / "größe", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert host.mounts_below(f"proc {real.resolve()}/proc proc rw 0 0\n", link) == [f"{real.resolve()}/proc"]


def test_a_bootstrap_gets_an_empty_folder_of_its_own_and_what_earlier_ones_left_goes(tmp_path: Path) -> None:
    first = baseimage.fresh_folder(tmp_path / "base")
    (first / "half").write_text("x")
    second = baseimage.fresh_folder(tmp_path / "base")
    assert second != first
    assert list((tmp_path / "base").iterdir()) == [second]
    assert (list(second.iterdir()), second.stat().st_mode & 0o777) == ([], 0o755)


def test_a_folder_of_an_earlier_bootstrap_that_cannot_be_unmounted_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "root" / "proc"
    mounted.mkdir(parents=True)
    (tmp_path / "mounts").write_text(f"proc {mounted.resolve()} proc rw 0 0\n")
    monkeypatch.setattr(host, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(host, "program", lambda _: "true")  # an umount that unmounts nothing
    with pytest.raises(DevError, match="still mounted below"):
        host.unmount_below([tmp_path / "root"])
    assert baseimage.fresh_folder(tmp_path).is_dir()
    assert mounted.is_dir()


def test_missing_packages_are_named_once_and_in_order() -> None:
    wanted = (Requirement("ctr", "containerd"), Requirement("containerd", "containerd"), Requirement("b", "a-package"))
    assert packages.missing_packages(wanted, lambda _: False) == ["a-package", "containerd"]
    assert packages.missing_packages(wanted, lambda item: item.program != "b") == ["a-package"]
    assert packages.missing_packages(wanted, lambda _: True) == []


@pytest.mark.parametrize(
    ("user", "apt", "expected"),
    [
        pytest.param(0, "/usr/bin/apt-get", True, id="root on Debian installs"),
        pytest.param(1000, "/usr/bin/apt-get", False, id="a user does not"),
        pytest.param(0, None, False, id="root on another system does not"),
    ],
)
def test_packages_are_installed_only_by_root_with_apt(user: int, apt: str | None, expected: bool) -> None:
    assert packages.may_install(user, apt) is expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([""], ["install"], id="nothing more where apt succeeds"),
        pytest.param(["E: 404", "", ""], ["install", "update", "install"], id="an old package list is refreshed"),
        pytest.param(
            ["E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", "", "", ""],
            ["install", "--configure", "update", "install"],
            id="an installation that was cut short is finished first",
        ),
    ],
)
def test_an_installation_does_no_more_than_apt_s_answers_ask_for(answers: list[str], expected: list[str]) -> None:
    """An answer is an error's text; an empty one is success."""
    left, seen = list(answers), []

    def run(command: list[str]) -> CompletedProcess[str]:
        seen.append(next(word for word in command if word in {"install", "update", "--configure"}))
        if seen[-1] != "update":
            assert any(word.endswith("--force-confold") for word in command)
        text = left.pop(0)
        return CompletedProcess(command, 100 if text else 0, text)

    packages.install(["sox"], run)
    assert (seen, left) == (expected, [])


def test_an_installation_that_fails_twice_shows_apt_s_last_output() -> None:
    with pytest.raises(DevError, match="could not install sox:\nE: no space"):
        packages.install(["sox"], lambda command: CompletedProcess(command, 100, "E: no space"))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param("go version go1.26.8 linux/amd64", (1, 26), id="a release"),
        pytest.param("go version go1.27rc1 linux/arm64", (1, 27), id="a candidate"),
        pytest.param("gccgo (Debian 12)", None, id="another compiler"),
    ],
)
def test_go_versions_are_read(output: str, expected: tuple[int, int] | None) -> None:
    assert golang.parse_version(output) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(
            ["deb https://vendor.invalid/apt stable main\ndeb [arch=amd64] http://near.invalid/debian/ bookworm main"],
            "http://near.invalid/debian",
            id="a line with options, after another vendor's",
        ),
        pytest.param(
            ["Types: deb\nURIs: http://near.invalid/debian\nSuites: bookworm\n"],
            "http://near.invalid/debian",
            id="the deb822 form",
        ),
        pytest.param(
            ["URIs: http://near.invalid/debian-security\n"], baseimage.DEFAULT_MIRROR, id="security alone is no mirror"
        ),
        pytest.param([], baseimage.DEFAULT_MIRROR, id="no files: the public mirror"),
    ],
)
def test_the_debian_mirror_of_the_machine_is_found(texts: list[str], expected: str) -> None:
    assert baseimage.mirror(texts) == expected


def test_folders_come_from_our_variables_then_from_xdg_then_from_home() -> None:
    by_home = paths_from_environment({"HOME": "/home/u"})
    assert by_home.cache == Path("/home/u/.cache/audiojob")
    assert by_home.state == Path("/home/u/.local/state/audiojob")
    xdg = {"HOME": "/home/u", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "/s"}
    assert paths_from_environment(xdg).cache == Path("/c/audiojob")
    ours = paths_from_environment({**xdg, "AUDIOJOB_CACHE_DIR": "/mine", "AUDIOJOB_STATE_DIR": "/st"})
    assert (ours.cache, ours.state) == (Path("/mine"), Path("/st"))


def test_a_state_folder_too_long_for_sockets_is_refused_by_name() -> None:
    with pytest.raises(DevError, match="AUDIOJOB_STATE_DIR"):
        paths_from_environment({"HOME": "/home/u", "AUDIOJOB_STATE_DIR": "/" + "x" * 80})
