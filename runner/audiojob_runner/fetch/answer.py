"""A small answer over http or https, through the egress proxy, into memory and within limits. It sends no cookies."""

from __future__ import annotations

from typing import Final

import requests
from urllib3.exceptions import DecodeError

from audiojob_runner.errors import stopped
from audiojob_runner.fetch.common import FetchTools, check_url, check_whole, refused_error, too_large
from audiojob_runner.fetch.partial.transfer import CONNECT_SECONDS, READ_SECONDS, open_session
from audiojob_runner.fetch.plainhttp import asked_to_wait, status_error, translated
from audiojob_runner.fetch.unpacking import Unpacking, check_coding, undecodable

_PIECE_BYTES: Final = 64 * 1024
_UNKNOWN: Final = frozenset({404, 410})


def ask(url: str, tools: FetchTools) -> bytes | None:
    """The body of the answer; None where the server knows nothing of it. Raises :class:`PhaseError` as downloads do."""
    check_url(url)
    headers, timeout = {"Accept": "application/json"}, (CONNECT_SECONDS, READ_SECONDS)
    with (
        translated(tools),
        open_session(tools.proxy_url) as session,
        session.get(url, stream=True, timeout=timeout, headers=headers) as response,
    ):
        # The proxy's own answer to http:// looks like the server's.
        refused = refused_error(tools.refusals, tools.limits)
        error = status_error(response.status_code, asked_to_wait(response.headers), response.url)
        if refused is None and response.status_code in _UNKNOWN:
            return None
        if error is not None:
            raise refused or error
        body = _read(response, tools)
        check_whole(tools)
        return body


def _read(response: requests.Response, tools: FetchTools) -> bytes:
    check_coding(response.headers)
    unpacking = Unpacking(response.raw.tell) if response.headers.get("Content-Encoding") else None
    body = bytearray()
    try:
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
            if unpacking is not None:
                unpacking.took(len(piece))
            body += piece
            if tools.cancelled.is_set():
                raise stopped()
            if len(body) > tools.limits.max_bytes:
                raise too_large(tools.limits.max_bytes)
    except DecodeError as error:
        raise undecodable(response.headers) from error
    return bytes(body)
