"""What the answers of kubectl mean."""

from __future__ import annotations

from typing import Any

import pytest

from audiojob_dev.kubectl import types_served

ESTABLISHED = {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
NOT_YET = {"status": {"conditions": [{"type": "Established", "status": "False"}]}}


@pytest.mark.parametrize(
    ("found", "served"),
    [
        pytest.param({"kind": "CustomResourceDefinition", **ESTABLISHED}, True, id="one that is established"),
        pytest.param({"kind": "CustomResourceDefinition"}, False, id="one that nobody has looked at"),
        pytest.param({"kind": "X", "status": {"conditions": None}}, False, id="one whose file has empty conditions"),
        pytest.param({"kind": "List", "items": [ESTABLISHED, ESTABLISHED]}, True, id="all of a list"),
        pytest.param({"kind": "List", "items": [ESTABLISHED, NOT_YET]}, False, id="one of a list is not"),
    ],
)
def test_types_are_served_once_all_are_established(found: dict[str, Any], served: bool) -> None:
    assert types_served(found) is served
