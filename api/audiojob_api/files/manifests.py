"""Manifests of phases, as the store has them; what is known of them already need not be read again.

A job names each by its sha256, so what was read once stays right. A player asks for a file by hundreds of ranges.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any, Final

from pydantic import ValidationError

from audiojob_api.files.ports import Call, Files
from audiojob_api.problems import Problem, unavailable
from audiojob_store.ticket import Verb
from audiojob_types.contract import Manifest

MAX_MANIFEST_BYTES: Final = 8 * 1024 * 1024
_MOST_BYTES: Final = 4 * 1024 * 1024  # as JSON: records of them would take several times as much
_LARGEST: Final = 256 * 1024
_JSON: Final = "application/json"

_Which = tuple[str, str, str]


class KnownManifests:
    """What was read lately, the one asked for longest ago goes first."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._taken = 0
        self._contents: OrderedDict[_Which, bytes] = OrderedDict()

    def get(self, which: _Which) -> bytes | None:
        """The content, where it is known."""
        content = self._contents.get(which)
        if content is not None:
            self._contents.move_to_end(which)
        return content

    def add(self, which: _Which, content: bytes) -> None:
        """Remember it, unless it is large."""
        if len(content) > _LARGEST or which in self._contents:
            return
        self._contents[which] = content
        self._taken += len(content)
        while self._taken > self._most:
            self._taken -= len(self._contents.popitem(last=False)[1])


async def manifest(files: Files, namespace: str, ref: dict[str, Any], known: KnownManifests | None) -> Manifest:
    """The manifest that a job names. Raises a 410 Problem where the store has it no more.

    With ``known`` it may come from there, although it is gone: for callers who then ask for a file of it.
    """
    which = (namespace, ref["key"], ref["sha256"])
    content = known.get(which) if known is not None else None
    if content is None:
        content = await _read(files, namespace, ref)
        if known is not None:
            known.add(which, content)
    try:
        return Manifest.read(content)
    except ValidationError:
        raise unavailable("The manifest in the store cannot be read by this version.") from None


async def _read(files: Files, namespace: str, ref: dict[str, Any]) -> bytes:
    wanted = Call(
        namespace, "GET", "/v1/file", Verb.READ, ref["key"],
        {"sha256": ref["sha256"], "name": "manifest.json", "type": _JSON},
    )  # fmt: skip
    try:
        async with files.open(wanted) as answer:
            content = await answer.read(MAX_MANIFEST_BYTES)
    except Problem as problem:
        if problem.status == 404:
            raise removed() from None
        raise
    if hashlib.sha256(content).hexdigest() != ref["sha256"]:
        raise Problem(410, "outputs-changed", "The manifest in the store is not the one that the job published.")
    return content


def removed() -> Problem:
    """410."""
    detail = "The files were removed from the store when their time was over; run the job again to have them."
    return Problem(410, "outputs-removed", detail)
