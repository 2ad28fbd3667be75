"""Log lines as JSON, one object a line: {time, level, logger, message, …}."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from audiojob_types.outside.logs import RedactingFormatter, close_other_ways
from audiojob_types.outside.redaction import redact, redact_all

MAX_LINE_CHARACTERS: Final = 32_768


def as_line(fields: dict[str, Any]) -> str:
    """One line of JSON; control characters are escaped, so that a message cannot pretend to be two lines."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(RedactingFormatter):
    """Formats a record as one line of JSON; a traceback goes into ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without line end."""
        fields: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message_of(record)[:MAX_LINE_CHARACTERS],
        }
        if error := self.traceback_of(record):
            fields["error"] = error[-MAX_LINE_CHARACTERS:]
        return as_line(fields)


class CallbackHandler(logging.Handler):
    """Hands each formatted line to a function."""

    def __init__(self, write_line: Callable[[str], None]) -> None:
        super().__init__()
        self._write_line = write_line

    def emit(self, record: logging.LogRecord) -> None:
        """Format and hand over; a failing log never fails the work."""
        try:
            self._write_line(self.format(record))
        except Exception:  # noqa: BLE001 - the logging module's own contract
            self.handleError(record)


def configure(write_line: Callable[[str], None], level: int = logging.INFO) -> None:
    """Send all log records of this process to ``write_line`` as JSON, warnings included."""
    handler = CallbackHandler(write_line)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    close_other_ways()


def print_line(line: str) -> None:
    """To standard error, flushed at its end: where the log of a process goes that nobody watches."""
    sys.stderr.write(line + "\n")


def wrap_output(line: str, source: str) -> str:
    """A line that a program printed, as a log line; one that is a log line already stays one."""
    if (known := _fields_of(line)) is not None:
        return as_line(redact_all(known))
    return as_line(
        {
            "time": timestamp(time.time()),
            "level": "info",
            "logger": source,
            "message": redact(line)[:MAX_LINE_CHARACTERS],
        }
    )


def _fields_of(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"time":'):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
