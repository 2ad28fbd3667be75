"""Limits of structure: what has outgrown one reading is split by concern."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("crds", "kube", "operator", "runner", "api", "dev", "bench", "tests")
LINES_OF_FILE, LINES_OF_FUNCTION, MODULES_OF_FOLDER, PARAMETERS = 400, 50, 12, 6
ALLOWED: Final[dict[str, str]] = {
    "crds/audiojob_types/tasks": "one module for each task, found by its name, as the package says",
    "runner/audiojob_runner/tasks": "one module for each task, found by its name, as audiojob_types.tasks says",
}
"""What may break a limit, as a message names it (`file` or `file: function`), and why."""

HEAD: Final = re.compile(r"^( *)(?:@|class |((?:async )?def ))", re.MULTILINE)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Source:
    """What the limits are about, of one Python file; nothing else of it is kept."""

    path: str
    lines: int
    functions: list[tuple[str, int, int]] = field(default_factory=list)
    """Name, lines from `def` to the end, and parameters that count."""


def read(root: Path, path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    source = Source(path.relative_to(root).as_posix(), text.count("\n"))
    pending: list[ast.AST] = [ast.parse(text)] if may_be_too_much(text) else []
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):  # an expression holds no `def`
                pending.append(node)
            if isinstance(node, Function) and node.end_lineno is not None:
                source.functions.append((node.name, node.end_lineno - node.lineno + 1, parameters(node)))
    return source


def may_be_too_much(text: str) -> bool:
    """Whether a function may break a limit. Most files cannot, and to parse them all takes seconds."""
    begun: list[tuple[int, int]] = []  # indentation and line of the functions that may go on
    number, place = 1, 0
    for match in HEAD.finditer(text):
        number, place = number + text.count("\n", place, match.start()), match.start()
        while begun and begun[-1][0] >= len(match[1]):
            if number - begun.pop()[1] > LINES_OF_FUNCTION:
                return True
        if match[2]:
            begun.append((len(match[1]), number))
            if text.count(",", match.end(), text.find(":\n", match.end())) >= PARAMETERS:
                return True
    last = number + text.count("\n", place)
    return any(last - line >= LINES_OF_FUNCTION for _, line in begun)


def parameters(function: Function) -> int:
    """How many a caller may give; tests and fixtures are given theirs by pytest, so that theirs are not counted."""
    decorators = [ast.unparse(each) for each in function.decorator_list]
    if function.name.startswith("test_") or any(each.startswith("pytest.fixture") for each in decorators):
        return 0
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    return len([name for name in names if name not in ("self", "cls")]) + len(function.args.kwonlyargs)


def sources(root: Path) -> list[Source]:
    return [read(root, path) for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]


def long_files(found: list[Source]) -> Iterator[tuple[str, str]]:
    for each in found:
        if each.lines > LINES_OF_FILE:
            yield each.path, f"{each.lines} lines, at most {LINES_OF_FILE}: split it by concern"


def long_functions(found: list[Source]) -> Iterator[tuple[str, str]]:
    for each in found:
        for name, lines, _ in each.functions:
            if lines > LINES_OF_FUNCTION:
                yield f"{each.path}: {name}", f"{lines} lines, at most {LINES_OF_FUNCTION}"


def long_parameter_lists(found: list[Source]) -> Iterator[tuple[str, str]]:
    for each in found:
        for name, _, count in each.functions:
            if count > PARAMETERS:
                yield (
                    f"{each.path}: {name}",
                    f"{count} parameters, at most {PARAMETERS}: make a record of some",
                )


def full_folders(found: list[Source]) -> Iterator[tuple[str, str]]:
    modules: dict[str, int] = {}
    for each in found:
        folder, _, name = each.path.rpartition("/")
        if name != "__init__.py":
            modules[folder] = modules.get(folder, 0) + 1
    for folder, count in modules.items():
        if count > MODULES_OF_FOLDER:
            yield folder, f"{count} modules, at most {MODULES_OF_FOLDER}: group them in folders"


Rule = Callable[[list[Source]], Iterator[tuple[str, str]]]
RULES: Final[dict[str, Rule]] = {
    f"a file has at most {LINES_OF_FILE} lines": long_files,
    f"a function has at most {LINES_OF_FUNCTION} lines": long_functions,
    f"a function has at most {PARAMETERS} parameters": long_parameter_lists,
    f"a folder has at most {MODULES_OF_FOLDER} modules": full_folders,
}


@pytest.fixture(scope="module")
def repository() -> list[Source]:
    return sources(ROOT)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_in_this_repository(repository: list[Source], rule: Rule) -> None:
    assert [f"{what}: {why}" for what, why in rule(repository) if what not in ALLOWED] == []


def test_each_exception_is_still_needed(repository: list[Source]) -> None:
    broken = {what for rule in RULES.values() for what, _ in rule(repository)}
    assert sorted(ALLOWED.keys() - broken) == []


def plant(root: Path, files: dict[str, str]) -> list[Source]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return sources(root)


NESTED = "class A:\n    async def f(self):\n        if True:\n            def g():\n" + 50 * "                x = 1\n"
SEVEN = "class A:\n    def f(self, a, b, /, c, d, *rest, e, f, g, **more): ...\n"


@pytest.mark.parametrize(
    ("rule", "files", "message"),
    [
        pytest.param(
            long_files, {"kube/a.py": "x = 1\n" * 401}, "kube/a.py: 401 lines, at most 400: split it by concern",
            id="a file of 401 lines",
        ),
        pytest.param(
            long_functions, {"api/p/a.py": NESTED}, "api/p/a.py: g: 51 lines, at most 50", id="a nested function of 51"
        ),
        pytest.param(
            long_parameter_lists, {"runner/a.py": SEVEN},
            "runner/a.py: f: 7 parameters, at most 6: make a record of some", id="seven parameters and self",
        ),
        pytest.param(
            full_folders, {f"tests/a/{name}.py": "" for name in ("__init__", *"abcdefghijklm")},
            "tests/a: 13 modules, at most 12: group them in folders", id="a folder of 13 modules",
        ),
    ],
)  # fmt: skip
def test_what_is_too_much_is_named_with_its_number_and_limit(
    tmp_path: Path, rule: Rule, files: dict[str, str], message: str
) -> None:
    assert message in [f"{what}: {why}" for what, why in rule(plant(tmp_path, files))]


FIXTURE = "import pytest\n@pytest.fixture(scope='module')\ndef given(a, b, c, d, e, f, g): ...\n"


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_what_just_fits_is_not_named(tmp_path: Path, rule: Rule) -> None:
    files = {f"tests/a/{name}.py": "x = 1\n" * 400 for name in ("__init__", *"abcdefghijk")}
    files["tests/a/test_b.py"] = FIXTURE + "def test_it(a, b, c, d, e, f, g):\n" + "    x = 1\n" * 49
    assert list(rule(plant(tmp_path, files))) == []
