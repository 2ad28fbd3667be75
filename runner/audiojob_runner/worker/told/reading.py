"""Reads the order. Another process does it, so that the one that all phases are forked from sees no job's data."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from audiojob_runner.settings import first_problem
from audiojob_runner.worker.state import Identity, OrderHead
from audiojob_runner.worker.told.aside import ask
from audiojob_types.contract import PhaseInput
from audiojob_types.workers.order import MAX_ORDER_BYTES, WorkOrder

Mark = tuple[int, int, int]
"""What changes whenever the kubelet puts another file into the place: number, time, size."""


def mark_of(path: Path) -> Mark | None:
    """The mark of the file that is there now; None without one, and while it is empty."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found.st_size else None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why there is no order in the file."""

    why: str


def read_head(path: Path) -> OrderHead | Unreadable:
    """The order in that file, without what its phases work on."""
    answer = ask(lambda: _head(path))
    if answer is None:
        return Unreadable("the process that read it ended without an answer")
    record = json.loads(answer)
    return OrderHead.read(record["order"]) if "order" in record else Unreadable(record["why"])


def read_phase(path: Path, identity: Identity) -> PhaseInput | None:
    """The phase file of that phase alone; None where the order does not tell it any more."""
    answer = ask(lambda: _phase(path, identity))
    return PhaseInput.read(answer) if answer else None


def parse(content: bytes) -> WorkOrder | Unreadable:
    """The order with that content."""
    if len(content) > MAX_ORDER_BYTES:
        return Unreadable(f"it is larger than {MAX_ORDER_BYTES} bytes")
    try:
        return WorkOrder.read(content)
    except ValidationError as error:
        return Unreadable(first_problem(error))


def _head(path: Path) -> bytes:
    order = _order(path)
    if isinstance(order, Unreadable):
        return json.dumps({"why": order.why}).encode()
    return json.dumps({"order": OrderHead.of(order).to_wire()}).encode()


def _phase(path: Path, identity: Identity) -> bytes:
    order = _order(path)
    if isinstance(order, Unreadable):
        return b""
    found = [told for told in order.told if Identity(told.uid, told.phase, told.attempt) == identity]
    return found[0].model_dump_json(by_alias=True, exclude_none=True).encode() if found else b""


def _order(path: Path) -> WorkOrder | Unreadable:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ORDER_BYTES + 1)
    except OSError as error:
        return Unreadable(error.strerror or os.strerror(error.errno or 0))
    return parse(content)
