"""Model names at admission: a closed list, whatever else demucs would take for one."""
# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

from typing import get_args

import pytest
from tests.integration.crds.resources import Resources

from audiojob_types.tasks.separate import Model

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", ["evil/x", "hf://a/b", "../m", "", "unknown", "htdemucs.yaml", "955717e8", "mdx_q"])
def test_B28_a_name_that_is_not_in_the_list_is_refused_with_the_list(resources: Resources, name: str) -> None:
    answer = resources.try_job({"pipeline": "separate", "parameters": {"separate": {"model": name}}})
    assert answer.status == 422
    assert "spec.parameters.separate.model" in answer.message
    assert '"htdemucs"' in answer.message


@pytest.mark.parametrize("name", get_args(Model))
def test_B28_every_name_of_the_list_is_taken(resources: Resources, name: str) -> None:
    answer = resources.try_job({"pipeline": "separate", "parameters": {"separate": {"model": name}}})
    assert answer.status == 200, answer.message
