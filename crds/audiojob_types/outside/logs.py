"""The way out for log records of all three programs: nothing is printed that was not redacted."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from types import TracebackType
from typing import Final

from audiojob_types.outside.redaction import SECRETS, redact

_UNCAUGHT: Final = logging.getLogger("uncaught")


class RedactingFormatter(logging.Formatter):
    """Formats as ``logging.Formatter`` does, and redacts the line: message, arguments, traceback with all causes.

    A formatter that writes JSON takes :meth:`message_of` and :meth:`traceback_of` instead, as redacting must not meet
    the quotes of JSON.
    """

    _second: tuple[int, str] = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redact(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """When it was said; the text of a second is made once."""
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        second, text = self._second
        if second != int(record.created):
            text = time.strftime(self.default_time_format, self.converter(record.created))
            self._second = (int(record.created), text)
        return self.default_msec_format % (text, record.msecs) if self.default_msec_format else text

    def message_of(self, record: logging.LogRecord) -> str:
        """The message with its arguments. One whose arguments do not fit it is still told, without them."""
        try:
            return redact(record.getMessage())
        except Exception:  # noqa: BLE001 - logging itself would print the arguments as they are
            return redact(str(record.msg))

    def traceback_of(self, record: logging.LogRecord) -> str:
        """The traceback and the stack of a record; empty where there is neither."""
        parts = [self.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] is not None else []
        parts += [self.formatStack(record.stack_info)] if record.stack_info else []
        return redact("\n".join(parts))


def close_other_ways() -> None:
    """Send what Python would print by itself through the log: warnings, uncaught exceptions, failures of logging."""
    SECRETS.learn_environment(os.environ)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def leave_out_origins() -> None:
    """Look up neither file, line nor function of a record, nor its thread and process, which no line of ours shows.

    A server writes two lines for a request: this is half of what they cost.
    """
    logging._srcfile = None  # noqa: SLF001 - as logging's own documentation says
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _UNCAUGHT.critical("The process ends by an error.", exc_info=(kind, error, trace))


def _uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is not None and not issubclass(caught.exc_type, SystemExit):
        error = (caught.exc_type, caught.exc_value, caught.exc_traceback)
        _UNCAUGHT.error("A thread ended by an error.", exc_info=error)
