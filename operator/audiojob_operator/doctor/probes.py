"""Two plain HTTP requests: the API server's version and clock, and the readiness of audiojob's API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from audiojob_kube.config import Connection
from audiojob_kube.errors import ConfigError
from audiojob_operator.doctor.facts import ApiAnswer, ServerAnswer, Unseen

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_BODY_LIMIT: Final = 16_384
_TEXT_LIMIT: Final = 300
_OK: Final = 200
_ERRORS: Final = (aiohttp.ClientError, OSError, TimeoutError)


async def ask_server(connection: Connection) -> ServerAnswer | Unseen:
    """The API server's version, and its clock as the answer's head has it."""
    asked = datetime.now(UTC)
    try:
        token = await connection.token.get()
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(
                f"{connection.host}/version",
                headers={"Authorization": f"Bearer {token}"} if token else {},
                ssl=True if connection.ssl is None else connection.ssl,
                server_hostname=connection.server_hostname,
                proxy=connection.proxy,
                allow_redirects=False,
            ) as response,
        ):
            body = await response.content.read(_BODY_LIMIT)
            if response.status != _OK:
                return Unseen(f"GET /version was answered with {response.status}")
            return ServerAnswer(_version(body), _date(response.headers.get("Date")), asked, datetime.now(UTC))
    except (*_ERRORS, ConfigError) as error:
        return Unseen(str(error) or type(error).__name__)


async def ask_api(url: str) -> ApiAnswer:
    """What a readiness probe at ``url`` is answered."""
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as response:
            text = (await response.content.read(_TEXT_LIMIT)).decode("utf-8", "replace")
            return ApiAnswer(url, response.status, text)
    except _ERRORS as error:
        return ApiAnswer(url, 0, str(error) or f"no answer within {_TIMEOUT.total:.0f} s")


def _version(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    return str(answer.get("gitVersion") or "") if isinstance(answer, dict) else ""


def _date(head: str | None) -> datetime | None:
    if head is None:
        return None
    try:
        date = parsedate_to_datetime(head)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
