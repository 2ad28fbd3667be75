"""Sends requests, tries again where that helps, and makes errors of answers that refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx2

from audiojob_client.calls import Request
from audiojob_client.errors import AudiojobError, BadAnswer, ConnectionFailed, ProblemError, problem
from audiojob_client.repeating import Failure, may_repeat, seconds_of
from audiojob_client.settings import TIMEOUT, Settings
from audiojob_client.waiting import pause

_MOST_BYTES: Final = 64 * 1024 * 1024  # of an answer that is no file
_MOST_OF_PROBLEM: Final = 1024 * 1024
_PROBLEM: Final = "application/problem+json"
_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class _Failed:
    """A try that led to no answer, or to one that refuses."""

    error: AudiojobError
    failure: Failure


class Transport:
    """One pool of connections to one API."""

    def __init__(self, settings: Settings, http: httpx2.Client | None = None) -> None:
        self.settings = settings
        self._own = http is None
        self._http = http or httpx2.Client(timeout=TIMEOUT)

    def close(self) -> None:
        """End all connections, unless somebody else opened them."""
        if self._own:
            self._http.close()

    def send(self, request: Request) -> bytes:
        """The body of an answer that does not refuse. Raises :class:`AudiojobError`."""
        with self.open(request) as answer:
            return _read(answer, _MOST_BYTES)

    @contextmanager
    def open(self, request: Request) -> Iterator[httpx2.Response]:
        """An answer whose body has not come yet. Raises :class:`AudiojobError`, also where it breaks off."""
        answer = self._begin(request)
        try:
            yield answer
        except httpx2.HTTPError as error:
            raise _broken(error) from None  # what it holds has the token
        finally:
            answer.close()

    def _begin(self, request: Request) -> httpx2.Response:
        attempt, spent = 0, 0.0
        while True:
            attempt += 1
            found = self._try(request)
            if isinstance(found, httpx2.Response):
                return found
            wait = self._wait(found, request, attempt, spent)
            if wait is None:
                raise found.error
            pause(wait)
            spent += wait

    def _wait(self, failed: _Failed, request: Request, attempt: int, spent: float) -> float | None:
        if not may_repeat(failed.failure, safe=request.safe):
            return None
        after = failed.error.retry_after if isinstance(failed.error, ProblemError) else None
        return self.settings.patience.wait(attempt, spent, after)

    def _try(self, request: Request) -> httpx2.Response | _Failed:
        built = self._http.build_request(
            request.operation.method,
            self.settings.url + request.path,
            params={**request.query, **self.settings.place(request.operation)},
            headers={**request.headers, **self.settings.headers()},
            content=request.content,
        )
        try:
            answer = self._http.send(built, stream=True, follow_redirects=False)  # a redirect would have the token
        except httpx2.HTTPError as error:
            return _Failed(_broken(error), Failure(arrived=not isinstance(error, _NEVER_SENT)))
        refused = answer.headers.get("Content-Type", "").startswith(_PROBLEM)
        if not refused and (answer.is_success or answer.status_code == 304):
            return answer
        try:
            return _Failed(_refusal(answer), Failure(answer.status_code))
        except httpx2.HTTPError as error:
            return _Failed(_broken(error), Failure())
        finally:
            answer.close()


def _refusal(answer: httpx2.Response) -> AudiojobError:
    content = _read(answer, _MOST_OF_PROBLEM)
    try:
        document = json.loads(content)
    except ValueError:
        document = content.decode("utf-8", "replace")
    return problem(answer.status_code, document, seconds_of(answer.headers.get("Retry-After")))


def _read(answer: httpx2.Response, most: int) -> bytes:
    found = bytearray()
    for chunk in answer.iter_bytes():
        found += chunk
        if len(found) > most:
            raise BadAnswer(f"the answer has more than {most} bytes")
    return bytes(found)


def _broken(error: httpx2.HTTPError) -> ConnectionFailed:
    return ConnectionFailed(f"{type(error).__name__}: {error}")
