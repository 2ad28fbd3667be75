"""Event streams that go on where they broke off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from audiojob_client.asynchronous.transport import AsyncTransport
from audiojob_client.calls import LAST_EVENT, Operation, QueryValue, request
from audiojob_client.errors import BadAnswer, ConnectionFailed, problem
from audiojob_client.sse import Event, Parser
from audiojob_client.waiting import a_pause


async def follow(
    transport: AsyncTransport, operation: Operation, names: Mapping[str, str], query: Mapping[str, QueryValue]
) -> AsyncGenerator[Event, None]:
    """Events until the reader has enough, or the API says that there are none any more (204).

    A stream that breaks off is opened again after the last event; one that does so again and again without an event
    raises :class:`ConnectionFailed`. The event ``refused`` is raised as the error that it tells of.
    """
    last: str | None = None
    vain, waited = 0, 0.0
    while True:
        vain += 1
        try:
            async with transport.open(request(operation, names, query, {LAST_EVENT: last})) as answer:
                if answer.status_code == 204:
                    return
                parser = Parser()
                async for chunk in answer.aiter_bytes():
                    for event in parser.feed(chunk):
                        if event.name == "refused":
                            raise _refused(event)
                        last, vain, waited = event.id or last, 0, 0.0
                        yield event
            broke = ConnectionFailed("the stream ended before its job did")
        except ConnectionFailed as error:
            broke = error
        wait = transport.settings.patience.wait(vain + 1, waited, None)
        if wait is None:
            raise broke
        await a_pause(wait)
        waited += wait


def _refused(event: Event) -> Exception:
    told = event.json()
    if not isinstance(told, dict) or not isinstance(told.get("status"), int):
        return BadAnswer("the stream was refused, and does not say why")
    return problem(told["status"], {"type": "/problems/refused", **told}, None)
