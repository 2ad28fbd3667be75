"""What another version has written: the modules that need torch keep no records of their own."""

from __future__ import annotations

import importlib

from tests.unit.types.test_reading import WITH_TORCH, wire_models


def test_no_module_with_torch_defines_a_wire_model_which_the_unit_tests_would_not_see() -> None:
    for module in WITH_TORCH:
        importlib.import_module(module)
    assert [each for each in wire_models() if each.__module__ in WITH_TORCH] == []
