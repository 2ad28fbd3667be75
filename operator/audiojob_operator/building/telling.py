"""The writes to pods: what one is told that began before its inputs were there, and what a worker is told."""

from __future__ import annotations

import json

from pydantic import ValidationError

from audiojob_operator.records.objects import Object
from audiojob_operator.records.plan import Telling, TellingAgain
from audiojob_operator.records.workers import WorkTelling
from audiojob_types.constants import ANNOTATION_INPUTS, ANNOTATION_TOLD_AGAIN, ANNOTATION_WORK
from audiojob_types.workers.order import WorkOrder


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


def work_patch(telling: WorkTelling, order: str) -> list[Object]:
    """A JSON Patch that fits that pod alone, and only while its order is ``order``. Raises ValueError for none."""
    return order_patch(telling.pod_uid, order, told_order(order, telling.phase_file))


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


def told_order(order: str, phase_file: str) -> str:
    """The order with that phase told, and no other: a worker that has one by its AudioJob's status has no other.

    Raises ValueError for what is no order.
    """
    if read_order(order) is None:
        raise ValueError("the annotation is no work order")
    terms = json.loads(order)
    return json.dumps({**terms, "told": [json.loads(phase_file)]}, separators=(",", ":"), ensure_ascii=False)


def read_order(text: str) -> WorkOrder | None:
    """The order of an annotation; None for what is none."""
    try:
        return WorkOrder.read(text)
    except ValidationError:
        return None
