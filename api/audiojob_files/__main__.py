"""``python -m audiojob_files``: the files service of one namespace."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from audiojob_files.app import create_app
from audiojob_files.settings import PREFIX, FilesSettings
from audiojob_store.credentials import NoCredentials
from audiojob_types.outside.logs import RedactingFormatter, close_other_ways

READ_BYTES: Final = 256 * 1024  # twice this is read ahead of a part that comes in
STOP_SECONDS: Final = 20.0
_EXIT_USAGE: Final = 64


async def serve(settings: FilesSettings) -> None:
    """Run until SIGTERM; what is on its way has a moment to end."""
    runner = web.AppRunner(
        create_app(settings), access_log=None, read_bufsize=READ_BYTES, shutdown_timeout=STOP_SECONDS
    )
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    await site.start()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    port = runner.addresses[0][1]
    logging.getLogger("audiojob_files").info("Serving the files of %s on port %d", settings.namespace, port)
    await stopping.wait()
    await runner.cleanup()


def main() -> int:
    """The process; 64 for settings that cannot be used."""
    try:
        settings = FilesSettings.read(os.environ)
    except ValidationError as error:
        for one in error.errors():
            name = PREFIX + "__".join(str(part).upper() for part in one["loc"])
            print(f"audiojob-files: {name}: {one['msg']}", file=sys.stderr)
        return _EXIT_USAGE
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    close_other_ways()
    try:
        asyncio.run(serve(settings))
    except NoCredentials as error:
        print(f"audiojob-files: {error} The Secret needs accessKeyId and secretAccessKey.", file=sys.stderr)
        return _EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
