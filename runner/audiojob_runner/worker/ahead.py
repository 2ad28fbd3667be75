"""Fetches the inputs of the phase to come, while another one is at work.

What is fetched lies in a folder of its own that the container ``work`` does not see: the phase at work could change it.
"""

from __future__ import annotations

import logging
import select
import socket
from pathlib import Path

from audiojob_runner.phase.inputs import Ahead, Fetcher, open_libraries
from audiojob_runner.settings import Paths
from audiojob_runner.store import open_store
from audiojob_types.contract import PhaseInput

_log = logging.getLogger(__name__)


def fetch_ahead(phase_input: PhaseInput, paths: Paths, folder: Path, begins: socket.socket) -> Ahead:
    """As many of the inputs as come before ``begins`` says something, and the one that is read then.

    A failure is none of the phase: once it begins it fetches again, and says what is wrong then.
    """
    made = Ahead()
    if _may_begin(begins):
        return made
    try:
        store, libraries = open_store(phase_input.store, paths.credentials), open_libraries(phase_input, paths)
        limit = phase_input.limits.max_input_bytes
        fetcher = Fetcher(store, folder, limit, _on_bytes, libraries, ahead=Ahead(manifests=made.manifests), into=made)
        for number, item in enumerate(fetcher.expand(phase_input.inputs)):
            if _may_begin(begins):
                break
            if item.url is None and item.text is None:
                fetcher.fetch(number, item)
    except Exception as error:  # noqa: BLE001 - whatever it is
        _log.info("Not all inputs are fetched ahead: %s: %s", type(error).__name__, error)
    return made


def _may_begin(begins: socket.socket) -> bool:
    return bool(select.select([begins], [], [], 0)[0])


def _on_bytes(_count: int) -> None:
    """Nobody waits for it."""
