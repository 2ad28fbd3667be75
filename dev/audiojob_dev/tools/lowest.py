"""The lowest versions that pyproject.toml allows, and whether they have what our code imports of them.

`make floors` installs each extra at its lowest versions and imports every name that the extra's packages use; what it
found is kept in requirements/floors.json. Tests compare that record with pyproject.toml and with the code, offline: a
floor that moved, or a name that nobody has looked for, asks for another `make floors`.

Left out is the extra `torch`: 2 GB for each check; its floors are first versions without a known hole.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.version import Version

from audiojob_dev.errors import DevError

RECORD: Final = "requirements/floors.json"
# The packages of ours that each extra runs.
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "operator": ("crds/audiojob_types", "kube/audiojob_kube", "operator/audiojob_operator"),
    "api": (
        "crds/audiojob_types",
        "kube/audiojob_kube",
        "runner/audiojob_store",
        "api/audiojob_api",
        "api/audiojob_files",
    ),
    "client": ("crds/audiojob_types", "api/audiojob_client"),
    "runner": ("crds/audiojob_types", "runner/audiojob_store", "runner/audiojob_runner"),
    "music": ("crds/audiojob_types", "runner/audiojob_store", "runner/audiojob_runner"),
}
# Imported by a generator that no image runs.
_ONLY_HERE: Final = frozenset({"pyyaml"})

_LOOK = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
missing = []
for each in json.load(sys.stdin):
    module, _, name = each.partition(":")
    try:
        found = importlib.import_module(module)
        if name and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ImportError:
        missing.append(each)
json.dump(missing, sys.stdout)
"""


# ---------------------------------------------------------------- what is asked for


def floors(root: Path) -> dict[str, dict[str, str]]:
    """The lower bound of each direct dependency, by extra and name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, dict[str, str]] = {}
    for extra in EXTRAS:
        lines = [*project["dependencies"], *project["optional-dependencies"][extra]]
        found[extra] = {line.name: _floor(line) for line in map(Requirement, lines)}
    return found


def _floor(requirement: Requirement) -> str:
    bounds = [each.version for each in requirement.specifier if each.operator == ">="]
    if len(bounds) != 1:
        raise DevError(f"{requirement.name} needs one lower bound (>=) in pyproject.toml.")
    return bounds[0]


def used(root: Path, extra: str, distributions: Iterable[str]) -> dict[str, list[str]]:
    """What the extra's packages import of these distributions: ``module`` and ``module:name``, by distribution."""
    of_module = {
        module: name.lower()
        for module, names in _distributions().items()
        for name in names
        if name.lower() in set(distributions) - _ONLY_HERE
    }
    mentions = re.compile(rf"^ *(?:import|from) (?:{'|'.join(map(re.escape, sorted(of_module)))})\b", re.MULTILINE)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package in EXTRAS[extra]:
        for path in sorted((root / package).rglob("*.py")):
            if not mentions.search(_text(path)):  # to parse a file takes milliseconds, and most import none of these
                continue
            for name in _imported_by(path):
                distribution = of_module.get(name.partition(":")[0].partition(".")[0])
                if distribution:
                    found[distribution].add(name)
    return {name: sorted(found[name]) for name in sorted(found)}


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Kept, because it takes a quarter of a second and each extra asks."""
    return importlib.metadata.packages_distributions()


@cache
def _text(path: Path) -> str:
    """Kept, because extras share packages."""
    return path.read_text(encoding="utf-8")


@cache
def _imported_by(path: Path) -> tuple[str, ...]:
    return tuple(imported(_text(path)))


def imported(source: str) -> Iterator[str]:
    """What a module's text imports when it runs: ``module`` for one that is imported whole, with each attribute that
    it reads of it as ``module:name``, and ``module:name`` for a name that is imported from it."""
    nodes = list(_run(ast.parse(source)))
    whole: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                top = alias.name.partition(".")[0]
                whole[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}:{alias.name}" for alias in node.names)
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            yield f"{whole[node.value.id]}:{node.attr}"


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    pending = deque([tree])
    while pending:
        node = pending.popleft()
        yield node
        pending.extend(child for child in ast.iter_child_nodes(node) if not _is_for_types(child))


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


# ---------------------------------------------------------------- what there is


def check(root: Path) -> list[str]:
    """Install and import each extra at its lowest versions, and write the record. One sentence for each fault."""
    record: dict[str, Any] = {}
    faults: list[str] = []
    for extra, wanted in floors(root).items():
        python, versions = _installed(root, extra)
        names = used(root, extra, wanted)
        every = [name for of_one in names.values() for name in of_one]
        done = subprocess.run(
            [python, "-c", _LOOK], input=json.dumps(every), capture_output=True, text=True, check=True
        )
        faults += [f"extra {extra}: the lowest versions have no {name}" for name in json.loads(done.stdout)]
        faults += [
            f"extra {extra}: {name}>={floor} cannot be had, {versions[name]} is the lowest: write that"
            for name, floor in wanted.items()
            if not reached(floor, versions[name])
        ]
        record[extra] = {
            name: {"floor": floor, "tried": versions[name], "imports": names.get(name, [])}
            for name, floor in sorted(wanted.items())
        }
    if not faults:
        (root / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return faults


def reached(floor: str, version: str) -> bool:
    """Whether this version is the floor, as exactly as the floor is written."""
    wanted = Version(floor).release
    return Version(version).release[: len(wanted)] == wanted


def _installed(root: Path, extra: str) -> tuple[str, dict[str, str]]:
    """The Python of an environment with the extra's lowest versions, and these."""
    folder = root / "build" / "floors" / extra
    folder.mkdir(parents=True, exist_ok=True)
    uv, pins = str(root / ".venv/bin/uv"), folder / "pins.txt"
    python = folder / "venv/bin/python"
    lowest = ["pip", "compile", "--quiet", "--resolution", "lowest-direct", "--no-annotate", "--no-header"]
    for command in (
        [*lowest, "--python-version", "3.11", "pyproject.toml", "--extra", extra, "-o", str(pins)],
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder / "venv")],
        ["pip", "install", "--quiet", "--python", str(python), "-r", str(pins)],
    ):
        done = subprocess.run([uv, *command], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DevError(f"uv {' '.join(command[:2])} for the extra {extra} failed:\n{done.stderr.strip()}")
    lines = (line.partition("==") for line in pins.read_text(encoding="utf-8").splitlines() if "==" in line)
    return str(python), {name: version.strip() for name, _, version in lines}
