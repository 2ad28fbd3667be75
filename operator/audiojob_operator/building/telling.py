"""The writes to pods: what one is told that began before its inputs were there, and what a worker is told."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final, TypeAlias

from pydantic import ValidationError

from audiojob_operator.records.objects import Object
from audiojob_operator.records.plan import Telling, TellingAgain
from audiojob_operator.records.workers import WorkTelling
from audiojob_types.constants import ANNOTATION_INPUTS, ANNOTATION_TOLD_AGAIN, ANNOTATION_WORK
from audiojob_types.workers.order import WorkOrder

Identity: TypeAlias = tuple[str, str, int]
"""AudioJob's uid, phase and attempt."""

_NONE: Final[frozenset[Identity]] = frozenset()


def inputs_patch(telling: Telling | TellingAgain) -> list[Object]:
    """A JSON Patch that fits that pod alone, and only while it was told nothing, or for telling it again."""
    if isinstance(telling, TellingAgain):
        path = f"/metadata/annotations/{ANNOTATION_TOLD_AGAIN.replace('/', '~1')}"
        return [
            {"op": "test", "path": "/metadata/uid", "value": telling.uid},
            {"op": "add", "path": path, "value": str(telling.time)},
        ]
    operations = _replaced(telling.uid, ANNOTATION_INPUTS, "", telling.phase_file)
    if telling.deadline_seconds is not None:
        operations.append({"op": "add", "path": "/spec/activeDeadlineSeconds", "value": telling.deadline_seconds})
    return operations


def work_patch(telling: WorkTelling, order: str, bound: Collection[Identity] = _NONE) -> list[Object]:
    """A JSON Patch that fits that pod alone, and only while its order is ``order``. Raises ValueError for none.

    ``bound``: what the pod has by the statuses of AudioJobs.
    """
    return order_patch(telling.pod_uid, order, told_order(order, telling.phase_file, bound))


def order_patch(pod_uid: str, before: str, after: str) -> list[Object]:
    """A JSON Patch that fits that pod alone, and only while its order is ``before``."""
    return _replaced(pod_uid, ANNOTATION_WORK, before, after)


def _replaced(pod_uid: str, annotation: str, before: str, after: str) -> list[Object]:
    path = f"/metadata/annotations/{annotation.replace('/', '~1')}"
    return [
        {"op": "test", "path": "/metadata/uid", "value": pod_uid},
        {"op": "test", "path": path, "value": before},
        {"op": "replace", "path": path, "value": after},
    ]


def told_order(order: str, phase_file: str, bound: Collection[Identity] = _NONE) -> str:
    """The order with that phase told, and of the others those alone that the worker has: they come before it.

    Raises ValueError for what is no order.
    """
    if read_order(order) is None:
        raise ValueError("the annotation is no work order")
    terms, told = json.loads(order), json.loads(phase_file)
    kept = set(bound) - {_identity(told)}
    # As they stand there: a later version may have told more.
    others = [each for each in terms.get("told") or () if _identity(each) in kept]
    return json.dumps({**terms, "told": [*others, told]}, separators=(",", ":"), ensure_ascii=False)


def _identity(told: Object) -> Identity:
    return told.get("uid", ""), told.get("phase", ""), told.get("attempt", 0)


def read_order(text: str) -> WorkOrder | None:
    """The order of an annotation; None for what is none."""
    try:
        return WorkOrder.read(text)
    except ValidationError:
        return None
