"""End-to-end tests that run beside each other, as pytest runs them: here tests of nothing, in a folder of their own."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from tests.support.parallel import SideBySide, alone_last

beside = SideBySide(2)

def pytest_collection_modifyitems(items):
    alone_last(items)

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return beside.call(pyfuncitem) or None

@pytest.fixture(scope="package")
def installed():
    yield ["installed"]
"""
TESTS = """
import threading
import pytest

barrier, called = threading.Barrier(2, timeout=20), []
main = threading.main_thread()

def test_is_alone_and_last():
    assert threading.current_thread() is main
    assert sorted(called) == ["1", "2", "after", "in turn", "of its own"]

@pytest.mark.beside_others
@pytest.mark.parametrize("number", [1, 2])
def test_meets_another(number, installed):
    barrier.wait()
    called.append(str(number))

@pytest.mark.in_turn
def test_comes_after_what_is_before():
    assert threading.current_thread() is main
    assert {"1", "2"} <= set(called)
    called.append("in turn")

@pytest.fixture
def own():
    return "of its own"

@pytest.mark.beside_others
def test_has_a_fixture_of_its_own(own):
    assert threading.current_thread() is main
    called.append(own)

@pytest.mark.beside_others
def test_fails(installed):
    pytest.fail("as it should")

@pytest.mark.beside_others
def test_after(installed):
    assert installed == ["installed"]
    called.append("after")
"""
OTHER = """
import threading
import pytest

ready = threading.Event()

@pytest.fixture(scope="module")
def shared():
    ready.set()

@pytest.mark.beside_others
def test_begins_when_its_module_has_its_turn(shared):
    assert ready.is_set()
    assert threading.current_thread() is not threading.main_thread()
"""


def test_marked_tests_run_beside_each_other_and_each_is_reported_as_itself(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("tests.e2e")]:
        monkeypatch.delitem(sys.modules, name)  # ours, which this process may have run
    marks = "markers =\n  beside_others\n  in_turn\n"
    pytester.makeini(f"[pytest]\n{marks}asyncio_default_fixture_loop_scope = function\n")
    folder = pytester.mkpydir("tests") / "e2e"
    folder.mkdir()
    for name, text in (("conftest", CONFTEST), ("test_one", TESTS), ("test_other", OTHER)):
        (folder / f"{name}.py").write_text(text)
    result = pytester.runpytest_inprocess("--import-mode=importlib", "-p", "no:cacheprovider", "-v")
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(["*test_fails*FAILED*", "*test_after*PASSED*", "*test_is_alone_and_last*PASSED*"])
