"""The audit log of an API server that runs: its last line may be half-written."""

from __future__ import annotations

from pathlib import Path


def whole_lines(log: Path) -> list[str]:
    """The lines that are written to their end."""
    return log.read_bytes().rpartition(b"\n")[0].decode().splitlines()
