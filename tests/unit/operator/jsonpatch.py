"""JSON Patch as the API server applies it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from audiojob_operator.records.objects import Object


class FailedTestError(Exception):
    """A JSON Patch test did not hold: the API server's 422."""


def apply_patch(obj: Object, operations: Sequence[Object]) -> Object:
    """RFC 6902 for what the operator uses: test, add, replace and remove of object members. All or nothing."""
    patched = deepcopy(obj)
    for operation in operations:
        *path, last = (part.replace("~1", "/") for part in operation["path"].lstrip("/").split("/"))
        target = patched
        for part in path:
            target = target[part]
        match operation["op"]:
            case "test":
                if last not in target or target[last] != operation["value"]:
                    raise FailedTestError(operation["path"])
            case "add" | "replace":
                target[last] = deepcopy(operation["value"])
            case "remove":
                del target[last]
            case other:
                raise AssertionError(f"the operator does not use {other}")
    return patched
