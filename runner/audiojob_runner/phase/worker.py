"""The worker: a forked process, leader of its own session, that runs one task and reports its result.

It is forked before the supervisor has threads, loads the task's libraries while the supervisor fetches the inputs,
then waits for its order. Lines of JSON go both ways: the order in, progress and one ending out.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from audiojob_runner import logs, tasks
from audiojob_runner.cpus import wait_without_spinning
from audiojob_runner.errors import as_phase_error
from audiojob_runner.prepare import prepare
from audiojob_runner.task import PartialFolders, Publishing, TaskContext, TaskInput, TaskOutput, TaskResult, Used
from audiojob_types.base import WireModel
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.outside.redaction import redact
from audiojob_types.tasks import Task

REPORT_SECONDS: Final = 0.1
_MOST_DESCRIPTORS: Final = 253  # the kernel's limit for one message


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is forked with. ``log_level`` is that of the logging module.

    ``early``: its inputs are not there yet, so that there is time to load all else.
    """

    task: Task
    parameters: WireModel
    models_root: Path
    device: Device
    limits: PhaseLimits
    network: PhaseNetwork
    attempt: int
    job_uid: str
    log_level: int = logging.INFO
    fetch_credentials: Path | None = None
    publishing: Publishing | None = None
    early: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker gets once the inputs are ready. ``run_dir`` is an empty folder of this run.

    ``held`` names the inputs that come as open files, in the order in which these are sent.
    """

    inputs: tuple[TaskInput, ...]
    run_dir: Path
    keeping: PartialFolders | None = None
    held: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line."""
        inputs = [{**asdict(item), "path": str(item.path) if item.path else None} for item in self.inputs]
        keeping = self.keeping.to_record() if self.keeping is not None else None
        record = {"inputs": inputs, "run_dir": str(self.run_dir), "keeping": keeping, "held": self.held}
        return json.dumps(record)

    @classmethod
    def from_json(cls, line: str) -> Order:
        """The order in that line."""
        record = json.loads(line)
        inputs = tuple(
            TaskInput(**{**item, "path": Path(item["path"]) if item["path"] else None}) for item in record["inputs"]
        )
        keeping = PartialFolders.from_record(record["keeping"]) if record["keeping"] is not None else None
        return cls(inputs=inputs, run_dir=Path(record["run_dir"]), keeping=keeping, held=tuple(record["held"]))

    def reading(self, descriptors: Sequence[int]) -> dict[str, TaskInput]:
        """The inputs by name. The path of one that came as an open file leads to just that file, in this process and
        in those that it starts, wherever the file's name leads by now."""
        found = {item.name: item for item in self.inputs}
        for name, descriptor in zip(self.held, descriptors, strict=True):
            given = found[name]
            assert given.path is not None, "only files are held"
            link = self.run_dir / "held" / str(descriptor) / given.path.name
            link.parent.mkdir(parents=True)
            link.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
            found[name] = replace(given, path=link)
        return found


def result_to_record(result: TaskResult) -> dict[str, Any]:
    """JSON form of a result. Raises :class:`TypeError` for metadata that is not JSON."""
    record = asdict(result)
    for output in record["outputs"]:
        output["path"] = str(output["path"])
    return record


def result_from_record(record: dict[str, Any]) -> TaskResult:
    """The result of that record."""
    outputs = [TaskOutput(**{**output, "path": Path(output["path"])}) for output in record["outputs"]]
    return TaskResult(**{**record, "outputs": outputs})


class ProgressSender:
    """Hands the newest progress to ``send`` ten times a second at most. ``__call__`` only stores: it never blocks."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._newest: tuple[float, str] | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def __call__(self, percent: float, message: str) -> None:
        """Note progress. From any thread."""
        with self._lock:
            self._newest = (percent if math.isfinite(percent) else 0.0, str(message))

    def close(self) -> None:
        """Send what is left and stop."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            last = self._done.wait(REPORT_SECONDS)
            with self._lock:
                newest, self._newest = self._newest, None
            if newest is not None:
                self._send({"percent": newest[0], "message": redact(newest[1])})
            if last:
                return


def run_worker(spec: WorkerSpec, control: socket.socket, events: int, prepared: object | None = None) -> NoReturn:
    """The life of the forked process. ``events`` is the end of a pipe; standard error is the log.

    ``prepared``: what the process that it was forked from has loaded for it.
    """
    cancelled = threading.Event()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, lambda _number, _frame: cancelled.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    logs.configure(_print_line, spec.log_level)
    lock = threading.Lock()

    def send(record: dict[str, Any]) -> None:
        # json writes NaN, which no reader of JSON takes.
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        with lock:
            _write_all(events, line)

    try:
        ending = _work(spec, control, send, cancelled, prepared)
        send(ending)
    except BrokenPipeError:  # the supervisor is gone, so nobody wants the result
        os._exit(1)
    sys.stderr.flush()
    os._exit(0)


def _work(
    spec: WorkerSpec,
    control: socket.socket,
    send: Callable[[dict[str, Any]], None],
    cancelled: threading.Event,
    prepared: object | None,
) -> dict[str, Any]:
    """Load the task, wait for the order, run; the ending as a record. What the task used is sent before it."""
    used = Used()
    log = logging.getLogger(f"audiojob_runner.{spec.task.parameter_key}")
    try:
        wait_without_spinning(os.environ)
        run = tasks.load(spec.task)
        if spec.early:
            prepared = prepare(spec.task, spec.parameters, spec.models_root)
        line, descriptors = receive_line(control)
        if not line:  # told nothing: the supervisor had no work or died
            os._exit(0)
        threading.Thread(target=_die_with_supervisor, args=(control,), name="guard", daemon=True).start()
        order = Order.from_json(line.decode())
        progress = ProgressSender(send)
        context = replace(_make_context(spec, order, progress, log, cancelled), used=used, prepared=prepared)
        given = order.reading(descriptors)
        send({"begun": True})
        try:
            result = run(given, spec.parameters, context)
        finally:
            send({"used": _measured(used, spec.device)})
        progress.close()
        record = {"result": result_to_record(result)}
        json.dumps(record, allow_nan=False)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # libraries call sys.exit
        failure = as_phase_error(error, spec.task.value)
        log.error("%s", failure.message, exc_info=error)
        return {
            "error": {
                "exit_code": failure.exit_code,
                "reason": failure.reason.value,
                "message": failure.message,
                "suggestion": failure.suggestion,
                "retry_after_seconds": failure.retry_after_seconds,
                "refused_by": failure.refused_by,
            }
        }
    return record


def _measured(used: Used, device: Device) -> dict[str, Any]:
    """What the task used, with the GPU memory that torch has counted, if it ran."""
    peak = used.gpu_peak_bytes
    torch = sys.modules.get("torch")
    with suppress(Exception):  # whatever a broken GPU answers, the task's own ending counts
        if torch is not None and torch.cuda.is_initialized():
            peak = max(peak, int(torch.cuda.max_memory_allocated()))
    return {**asdict(used), "gpu_peak_bytes": peak if device is Device.GPU else 0}


def _make_context(
    spec: WorkerSpec,
    order: Order,
    progress: Callable[[float, str], None],
    log: logging.Logger,
    cancelled: threading.Event,
) -> TaskContext:
    work_dir, temporary = order.run_dir / "work", order.run_dir / "tmp"
    work_dir.mkdir(parents=True)
    temporary.mkdir(parents=True)
    # Libraries' temporary files belong to this run and go with it.
    os.environ["TMPDIR"] = str(temporary)
    tempfile.tempdir = None
    return TaskContext(
        work_dir=work_dir,
        models_root=spec.models_root,
        device=spec.device,
        limits=spec.limits,
        network=spec.network,
        progress=progress,
        log=log,
        attempt=spec.attempt,
        job_uid=spec.job_uid,
        cancelled=cancelled,
        fetch_credentials=spec.fetch_credentials,
        publishing=spec.publishing,
        keeping=order.keeping,
    )


def send_line(control: socket.socket, line: str, descriptors: Sequence[int]) -> None:
    """A line, with open files. Raises :class:`OSError` where nobody reads any more."""
    content = line.encode() + b"\n"
    socket.send_fds(control, [content[:1]], descriptors)
    control.sendall(content[1:])


def receive_line(control: socket.socket) -> tuple[bytes, list[int]]:
    """Bytes up to a line end, and the open files that came along; no bytes when the other side closed first."""
    line, descriptors = bytearray(), list[int]()
    while not line.endswith(b"\n"):
        chunk, received, _, _ = socket.recv_fds(control, 65_536, _MOST_DESCRIPTORS)
        for descriptor in received:
            os.set_inheritable(descriptor, False)  # Python's own call leaves them open to programs
        descriptors += received
        if not chunk:
            return b"", descriptors
        line += chunk
    return bytes(line), descriptors


def _die_with_supervisor(control: socket.socket) -> None:
    """Wait for the end of the supervisor, then end this session: a task must not outlive the one who publishes it."""
    with suppress(ConnectionResetError):
        while control.recv(1):
            pass
    os.killpg(0, signal.SIGKILL)


def _print_line(line: str) -> None:
    os.write(2, line.encode("utf-8", "replace") + b"\n")


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
