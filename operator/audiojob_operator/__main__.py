"""``python -m audiojob_operator``: runs the operator until SIGTERM or SIGINT. Settings: variables ``AUDIOJOB_…``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from audiojob_kube.config import load_connection
from audiojob_kube.errors import ConfigError
from audiojob_operator import logs
from audiojob_operator.handlers import KopfShell
from audiojob_operator.lease import LeaseLostError
from audiojob_operator.runtime import Runtime, StartError
from audiojob_operator.settings import OperatorSettings, SettingsError, load_settings

_log = logging.getLogger("audiojob_operator")

_EXIT_CONFIGURATION = 78  # EX_CONFIG: starting again without a change is no use
_EXIT_FAILURE = 1
_EXPECTED = (LeaseLostError, StartError, OSError)


async def operate(settings: OperatorSettings) -> None:
    """Run until a signal arrives. Raises what ended the operator otherwise."""
    runtime = Runtime(settings, load_connection(settings.kubeconfig, settings.context))
    background: set[asyncio.Task[None]] = set()

    def after_gap() -> None:
        task = asyncio.create_task(runtime.sweep_now())
        background.add(task)
        task.add_done_callback(background.discard)

    connection = load_connection(settings.kubeconfig, settings.context)
    shell = KopfShell(connection, runtime.deliver, after_gap, runtime.metrics)
    running = asyncio.create_task(runtime.run(shell.run, shell.age, shell.restart))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        _log.info("stopped")


def main() -> int:
    """The process's exit code: 0 stopped by a signal, 78 wrong settings, 1 anything that a restart may heal."""
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        asyncio.run(operate(settings))
    except (SettingsError, ConfigError) as error:
        sys.stderr.write(f"audiojob-operator: {error}\n")
        return _EXIT_CONFIGURATION
    except* _EXPECTED as group:
        for error in group.exceptions:
            _log.error("the operator ends: %s", error)  # noqa: TRY400 - expected, a traceback says nothing
        return _EXIT_FAILURE
    return 0


if __name__ == "__main__":
    code = main()
    # A kopf thread that does not end must not keep the process: what it does is watching only.
    sys.stderr.flush()
    os._exit(code)
