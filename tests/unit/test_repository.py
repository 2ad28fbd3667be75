"""Rules about the repository itself that no other tool checks: layout, locks, licences, what images copy."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiojob_types.constants import RELEASE

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "audiojob_types": "crds",
    "audiojob_kube": "kube",
    "audiojob_operator": "operator",
    "audiojob_runner": "runner",
    "audiojob_store": "runner",
    "audiojob_api": "api",
    "audiojob_client": "api",
    "audiojob_files": "api",
}
LOCKS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))
IMAGE_LOCKS = ("control.txt", "runner.txt", "runner-torch.txt", "runner-music.txt")
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)
CARRIED = {
    "fastapi-swagger": "Swagger UI",
    "numpy": "libgfortran",
    "soundfile": "libsndfile",
    "sphn": "Symphonia",
    "torch": "libgomp",
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    return dict(PINNED.findall(read(f"requirements/{lock}")))


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


# ---------------------------------------------------------------- layout


@pytest.mark.parametrize("folder", [*sorted(set(PACKAGES.values())), "dev", "tests", "charts", "bench"])
def test_a_top_level_folder_is_no_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), (
        f"{folder}/__init__.py makes `import {folder}` work, and an importable `operator` hides Python's own"
    )


def test_no_lock_of_a_tool_that_names_registry_hosts() -> None:
    assert [name for name in ("uv.lock", "poetry.lock", "Pipfile.lock") if (ROOT / name).exists()] == []


@pytest.mark.parametrize(("package", "folder"), PACKAGES.items())
def test_each_package_is_shipped_and_typed(package: str, folder: str) -> None:
    shipped = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert f"{folder}/{package}" in shipped
    assert (ROOT / folder / package / "py.typed").exists(), f"mypy ignores the types of {package} without py.typed"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert [line for line in read(".ci/run").splitlines() if "make" in line] == ["exec make test"]
    assert "make test" in read("README.md")


# ---------------------------------------------------------------- programs

# Modules that start programs, and why. ffmpeg and ffprobe are started by the first alone: a media file can make them
# open whatever it names, and the guards against that are there.
STARTERS = {
    "runner/audiojob_runner/media/ffmpeg.py",  # ffmpeg and ffprobe
}
COMMAND_BUILDERS = {f"runner/audiojob_runner/media/{name}.py" for name in (
    "ffmpeg", "ffmpeg_encode", "ffmpeg_still", "levels/loudness", "rendering/backdrop", "rendering/film",
    "rendering/mix",
)}  # fmt: skip


def shipped_modules() -> list[Path]:
    return [path for package, folder in PACKAGES.items() for path in sorted((ROOT / folder / package).rglob("*.py"))]


TELLING = re.compile(r"subprocess|\bpty\b|multiprocessing|\bos\.|[\"']ff(mpeg|probe)[\"']|\bimport os\b|\bfrom os\b")


@cache
def words_of(path: Path) -> set[str]:
    """Imported modules, attributes of `os` and first words of lists, of a module that names any we look for."""
    text = path.read_text(encoding="utf-8")
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)) if TELLING.search(text) else ():
        if isinstance(node, ast.Import):
            found |= {f"import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(f"import {node.module}")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found.add(f"os.{node.attr}")
        elif isinstance(node, ast.List) and node.elts and isinstance(node.elts[0], ast.Constant):
            found.add(f"list {node.elts[0].value!r}")
    return found


def test_programs_are_started_where_it_is_known() -> None:
    starting = re.compile(
        r"import (subprocess|pty|asyncio\.subprocess|multiprocessing)$|os\.(system|popen|spawn|exec|posix_)"
    )
    found = {
        str(path.relative_to(ROOT))
        for path in shipped_modules()
        if any(starting.match(word) for word in words_of(path))
    }
    assert found <= STARTERS


def test_ffmpeg_and_ffprobe_are_named_by_the_wrapper_alone() -> None:
    named = {
        str(path.relative_to(ROOT))
        for path in shipped_modules()
        if {"list 'ffmpeg'", "list 'ffprobe'"} & words_of(path)
    }
    assert named == COMMAND_BUILDERS


@pytest.mark.parametrize("name", sorted(COMMAND_BUILDERS))
def test_whoever_builds_a_command_takes_the_guards(name: str) -> None:
    assert "guards(" in read(name)
    assert "-safe" not in read(name)
    assert "shell=" not in read(name)


def test_the_api_looks_up_its_services_in_one_module() -> None:
    using = {path.name for path in (ROOT / "api").rglob("*.py") if "app.state" in path.read_text(encoding="utf-8")}
    assert using == {"deps.py"}


# ---------------------------------------------------------------- locks


@pytest.mark.parametrize("workflow", sorted(path.name for path in (ROOT / ".github/workflows").glob("*.yml")))
def test_actions_are_pinned_by_commit_and_jobs_have_few_rights(workflow: str) -> None:
    text = read(f".github/workflows/{workflow}")
    actions = re.findall(r"uses: *(\S+)(.*)", text)

    assert actions
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action) for action, _ in actions)
    assert all(re.fullmatch(r" # v\d+(\.\d+)*", version) for _, version in actions)
    assert yaml.safe_load(text)["permissions"] == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_path(lock: str) -> None:
    text = read(f"requirements/{lock}")
    assert re.findall(r"https?://|file:|^-|\s@\s|^/", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_each_requirement_of_a_lock_is_pinned_and_hashed(lock: str) -> None:
    text = "\n".join(line for line in read(f"requirements/{lock}").splitlines() if not line.lstrip().startswith("#"))
    requirements = re.sub(r"\\\n", " ", text).split("\n")
    loose = [line for line in requirements if line and not re.search(r"^\S+==\S+.*--hash=sha256:[0-9a-f]{64}", line)]
    assert loose == []
    assert pins(lock)


@pytest.mark.parametrize("lock", IMAGE_LOCKS)
def test_images_run_the_versions_that_the_tests_ran(lock: str) -> None:
    tested = pins("dev.txt")
    assert {name: version for name, version in pins(lock).items() if tested.get(name) != version} == {}


@pytest.mark.parametrize("lock", ["runner-torch.txt", "runner-music.txt"])
def test_each_heavier_image_of_phases_is_a_superset_of_the_light_one(lock: str) -> None:
    assert pins("runner.txt").items() <= pins(lock).items()


def test_each_direct_dependency_is_in_the_lock_of_its_image() -> None:
    extras = project()["project"]["optional-dependencies"]
    parts = {
        "control.txt": ("operator", "api"),
        "runner.txt": ("runner",),
        "runner-torch.txt": ("runner", "torch"),
        "runner-music.txt": ("runner", "music"),
    }
    missing = {
        (lock, requirement)
        for lock, names in parts.items()
        for name in names
        for requirement in extras[name]
        if re.split(r"[<>=!\[; ]", requirement)[0].lower().replace("_", "-") not in pins(lock)
    }
    assert missing == set(), "run `make lock`"


def test_each_direct_dependency_says_why_it_is_there() -> None:
    lines = read("pyproject.toml").splitlines()
    start, end = lines.index("[project.optional-dependencies]"), lines.index("[dependency-groups]")
    requirements = [line for line in lines[start:end] if line.startswith('  "')]
    assert requirements
    assert [line for line in requirements if "# " not in line] == []


# ---------------------------------------------------------------- licences


# What each package's metadata says is judged by audiojob_dev.tools.licenses;
# metadata says nothing of what a wheel carries.


def named_in_notice(package: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(package)}(?![\w-])", read("NOTICE")) is not None


@pytest.mark.parametrize(("package", "library"), CARRIED.items())
def test_what_a_permissive_wheel_carries_of_others_is_named_in_notice(package: str, library: str) -> None:
    assert named_in_notice(package)
    assert library in read("NOTICE")


def test_mutagen_stays_out() -> None:
    assert not any("mutagen" in pins(lock) for lock in LOCKS), "mutagen is GPL; yt-dlp[default] brings it"


# ---------------------------------------------------------------- images


def copied_paths() -> set[str]:
    return {
        source
        for line in read("images/Dockerfile").splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    }


def test_what_the_dockerfile_copies_passes_the_dockerignore() -> None:
    allowed = {line[1:].removesuffix("/**") for line in read(".dockerignore").splitlines() if line.startswith("!")}
    wanted = {"requirements/*.txt" if path.startswith("requirements/") else path for path in copied_paths()}
    assert wanted == allowed


def test_the_dockerfile_copies_only_what_exists() -> None:
    assert [path for path in sorted(copied_paths()) if not (ROOT / path).exists()] == []


def test_images_run_as_the_user_of_the_contract_and_copy_code_last() -> None:
    stages = re.split(r"^FROM ", read("images/Dockerfile"), flags=re.MULTILINE)
    images = [stage for stage in stages if re.match(r"\S+ AS (control|runner|runner-torch|runner-music)\n", stage)]
    assert len(images) == 4
    for stage in images:
        assert "USER 10001:10001" in stage
        assert re.findall(r"^RUN", stage, re.MULTILINE) == [], "an image's own stage only copies code"


def test_the_release_is_the_same_wherever_it_is_written() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((ROOT / "charts" / "audiojob" / "Chart.yaml").read_text(encoding="utf-8"))
    assert {project["version"], chart["version"], chart["appVersion"]} == {RELEASE}
