"""What the workers of a test run share out."""

from __future__ import annotations

import pytest
from tests.support.parallel import turn, unit_of_work


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        pytest.param("tests/unit/a/test_b.py::test_c", "tests/unit/a/test_b.py", id="a file of tests"),
        pytest.param("tests/unit/test_b.py::test_c[::1]", "tests/unit/test_b.py", id="a parameter that has colons"),
        pytest.param("tests/unit/test_b.py::TestD::test_c", "tests/unit/test_b.py", id="classes stay with their file"),
        pytest.param("tests/e2e/test_b.py::test_c", "tests/e2e", id="all end-to-end tests are one"),
        pytest.param("tests/e2e/dev/test_b.py::test_c", "tests/e2e", id="those of a folder below too"),
        pytest.param("tests/e2e_like/test_b.py::test_c", "tests/e2e_like/test_b.py", id="another folder is no e2e"),
    ],
)
def test_files_are_shared_out_and_the_cluster_is_not(nodeid: str, unit: str) -> None:
    assert unit_of_work(nodeid) == unit


def test_the_longest_is_handed_out_first_and_the_shortest_last() -> None:
    units = ["tests/unit/a/test_b.py", "tests/chart/test_c.py", "tests/integration/test_d.py", "tests/e2e"]
    assert sorted(units, key=turn) == [units[3], units[1], units[2], units[0]]
