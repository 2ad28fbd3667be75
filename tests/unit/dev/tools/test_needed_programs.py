"""What tests and tools start by name: each is installed by `make test`, or is on every Debian system."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiojob_dev.tools import packages

REPOSITORY = Path(__file__).parents[4]
INSTALLED = {
    Path(each.program).name
    for each in (*packages.NODE_REQUIREMENTS, *packages.IMAGE_REQUIREMENTS, *packages.TEST_REQUIREMENTS)
}
# Of packages that Debian calls essential, of those that install others, and git, which brought the checkout.
EVERYWHERE = {"apt-get", "bash", "cat", "cmp", "dpkg", "dpkg-deb", "git", "rm", "sh", "sleep", "umount", "unshare"}
STARTERS = {"run", "Popen", "call", "check_call", "check_output", "create_subprocess_exec"}
SOURCES = sorted(path for folder in ("dev", "tests") for path in (REPOSITORY / folder).rglob("*.py"))


def programs_of(text: str) -> Iterator[str]:
    """The programs that calls of ``subprocess`` and ``asyncio`` name by a literal: not paths, and not variables."""
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if ast.unparse(node.func.value) not in ("subprocess", "asyncio") or node.func.attr not in STARTERS:
            continue
        first = node.args[0]
        if isinstance(first, ast.List | ast.Tuple) and first.elts:
            first = first.elts[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param('subprocess.run(["jq", path])', ["jq"], id="the first of a list"),
        pytest.param('await asyncio.create_subprocess_exec("curl", url)', ["curl"], id="the first argument"),
        pytest.param("subprocess.run([sys.executable, script])", [], id="nothing of a variable"),
        pytest.param('client.run(["first"])', [], id="nothing of another thing that runs"),
    ],
)
def test_a_program_is_found(text: str, found: list[str]) -> None:
    assert list(programs_of(text)) == found


def test_no_test_and_no_tool_starts_what_the_machine_may_lack() -> None:
    lacking = {
        f"{path.relative_to(REPOSITORY)}: {program}"
        for path in SOURCES
        if "subprocess" in (text := path.read_text())
        for program in programs_of(text)
        if program not in INSTALLED | EVERYWHERE
    }
    assert not lacking
