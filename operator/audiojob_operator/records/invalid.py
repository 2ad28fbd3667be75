"""The one error of the pure core: a job that cannot run as it is written."""

from __future__ import annotations


class InvalidSpecError(ValueError):
    """``field`` is the path to correct (``spec.source``), ``message`` says what is wrong and what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
