"""``python -m audiojob_operator``: run the operator until SIGTERM. Its settings: :mod:`.settings_loading`.

``python -m audiojob_operator doctor`` looks at the installation instead, and says what is wrong with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys

from audiojob_kube.client import Timeouts, connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import ConfigError
from audiojob_operator.app import Operator
from audiojob_operator.doctor.command import doctor
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.settings_loading import SettingsError, load_settings
from audiojob_operator.watching.handlers import KopfShell
from audiojob_operator.watching.lease import LeaseLostError
from audiojob_operator.watching.preflight import StartError
from audiojob_types.constants import MANAGER_OPERATOR
from audiojob_types.outside.logs import RedactingFormatter, close_other_ways

_log = logging.getLogger(__name__)

_EXIT_FAILED = 1
_EXIT_USAGE = 64


class _JsonFormatter(RedactingFormatter):
    """One JSON object a line, so that nothing in a message can forge another line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": self.message_of(record),
        }
        if error := self.traceback_of(record):
            entry["exception"] = error
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(settings: OperatorSettings) -> None:
    """Everything to standard error; kopf only when something is wrong."""
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    close_other_ways()
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))


async def run(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises what makes the process end by itself."""
    connection = load_connection(settings.kubeconfig, settings.context)
    silence = settings.watch.silence_seconds
    client = connect(
        connection,
        user_agent=MANAGER_OPERATOR,
        field_manager=MANAGER_OPERATOR,
        limit=max(32, settings.workers),
        timeouts=Timeouts(watch_silence=silence),
    )
    try:
        operator = Operator(client, settings)
        shell = KopfShell(connection, operator.deliver, operator.gap, operator.metrics, silence)
        work = asyncio.create_task(operator.run(shell))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            _log.info("stopped")
    finally:
        await client.aclose()


def main() -> int:
    """The process: 0 after a signal, 1 when it must be started again, 64 for settings that cannot be used."""
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"audiojob-operator: {error}", file=sys.stderr)
        return _EXIT_USAGE
    configure_logging(settings)
    command, arguments = sys.argv[1:2], sys.argv[2:]
    if command not in ([], ["doctor"]):
        print(f"audiojob-operator: {command[0]} is no command; there is one, doctor", file=sys.stderr)
        return _EXIT_USAGE
    return_code = 0
    try:
        if command:
            return_code = asyncio.run(doctor(arguments, settings))
        else:
            asyncio.run(run(settings))
    except* ConfigError as errors:
        _log.error("%s", _first(errors))
        return_code = _EXIT_USAGE
    except* (LeaseLostError, StartError) as errors:
        _log.error("%s", _first(errors))
        return_code = _EXIT_FAILED
    return return_code


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception of a group."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


if __name__ == "__main__":
    sys.exit(main())
