"""An HTTP server on this machine, for what pods fetch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any


class Quiet:
    """Of a handler that says nothing of requests."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Whoever serves tells by other means."""


@contextmanager
def serving(address: str, handler: Callable[..., Any]) -> Iterator[str]:
    """Answer on ``address`` and any free port; yields the base URL and stops at the end."""
    server = ThreadingHTTPServer((address, 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="webserver", daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
