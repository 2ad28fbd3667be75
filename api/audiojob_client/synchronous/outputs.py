"""Outputs of jobs and logs of their phases."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from audiojob_client import calls
from audiojob_client.calls import Operation, request
from audiojob_client.errors import BadAnswer, ConnectionFailed
from audiojob_client.files import Incoming
from audiojob_client.models import OutputList, Score, read
from audiojob_client.synchronous.events import follow
from audiojob_client.synchronous.transport import Transport
from audiojob_client.waiting import pause, run

_AS_IT_IS = {"Accept-Encoding": "identity"}


class Outputs:
    """``client.outputs``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, job: str) -> OutputList:
        """Those of a job that has succeeded. Raises :class:`NotFinished`, :class:`Conflict` (it failed) or
        :class:`Gone` (the files were removed)."""
        return read(OutputList, self._transport.send(request(calls.LIST_OUTPUTS, {"name": job})))

    @contextmanager
    def open(self, job: str, output: str, *, phase: str | None = None) -> Iterator[Iterator[bytes]]:
        """An output's bytes as they come, for readers that keep no file. They are not compared with a checksum."""
        wanted = request(calls.GET_OUTPUT, {"name": job, "output": output}, {"phase": phase}, _AS_IT_IS)
        with self._transport.open(wanted) as answer:
            yield answer.iter_bytes()

    def save(self, job: str, output: str, to: Path | str, *, phase: str | None = None) -> Path:
        """An output as the file ``to``, which is there whole or not at all; its sha256 is compared.

        What broke off goes on where it was, also in another call. Raises :class:`ChecksumMismatch`.
        """
        names = {"name": job, "output": output}
        return self._save(calls.GET_OUTPUT, names, phase, Incoming(Path(to)))

    def save_zip(self, job: str, to: Path | str, *, phase: str | None = None) -> Path:
        """The outputs of a phase, of the last one that has results where none is named, as the file ``to``."""
        return self._save(calls.GET_ZIP, {"name": job}, phase, Incoming(Path(to), checked=False))

    def score(self, job: str) -> Score:
        """What is known of a job's score; its files are outputs: `score`, `pdf`, `preview`, `midi`, `midi-PART`."""
        return read(Score, self._transport.send(request(calls.GET_SCORE, {"name": job})))

    def _save(self, operation: Operation, names: dict[str, str], phase: str | None, file: Incoming) -> Path:
        vain, waited = 0, 0.0
        try:
            while True:
                vain += 1
                had = file.received
                try:
                    if self._receive(operation, names, phase, file):
                        return run(file.finish)
                    broke = ConnectionFailed("the connection ended before the file did")
                except ConnectionFailed as error:
                    broke = error
                if file.received > had:
                    vain, waited = 0, 0.0
                wait = self._transport.settings.patience.wait(vain + 1, waited, None)
                if wait is None:
                    raise broke
                pause(wait)
                waited += wait
        finally:
            file.close()

    def _receive(self, operation: Operation, names: dict[str, str], phase: str | None, file: Incoming) -> bool:
        """Whether the whole file is there now."""
        wanted = request(operation, names, {"phase": phase}, {**_AS_IT_IS, **file.resume()})
        with self._transport.open(wanted) as answer:
            if answer.status_code not in (200, 206):
                raise BadAnswer(f"{answer.status_code} for a file")
            if file.already(answer.status_code, answer.headers):
                return self._rest(operation, names, phase, file)
            run(file.begin, answer.status_code, answer.headers)
            for chunk in answer.iter_bytes():
                run(file.write, chunk)
        return file.whole()

    def _rest(self, operation: Operation, names: dict[str, str], phase: str | None, file: Incoming) -> bool:
        """What an earlier call left lacks its end; an empty end is not asked for."""
        return True if file.whole() else self._receive(operation, names, phase, file)

    # ------------------------------------------------------------ logs

    def log(self, job: str, *, phase: str | None = None, attempt: int | None = None, tail: int | None = None) -> str:
        """Lines of JSON, as the phase wrote them: of the one that failed, else the last, where none is named."""
        query = {"phase": phase, "attempt": attempt, "tail": tail}
        content = self._transport.send(request(calls.GET_LOG, {"name": job}, query))
        return content.decode("utf-8", "replace")

    def follow_log(self, job: str, *, phase: str | None = None, attempt: int | None = None) -> Generator[str, None]:
        """New lines as they come, until the attempt has ended."""
        query = {"phase": phase, "attempt": attempt, "follow": True}
        with closing(follow(self._transport, calls.GET_LOG, {"name": job}, query)) as events:
            for event in events:
                if event.name == "end":
                    return
                if event.name == "log":
                    text = event.json().get("text", "")
                    if text:
                        yield text
