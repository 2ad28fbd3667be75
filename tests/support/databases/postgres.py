"""A PostgreSQL server of its own in a temporary folder, without root's rights; it refuses to run with them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

from audiojob_dev.errors import DevError
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import debian

_START_SECONDS: Final = 60.0
_USER: Final = "nobody"  # where the tests run as root


class Postgres:
    """One server, reached by a Unix socket in its folder. Use it as a context."""

    def __init__(self, *, durable: bool = False) -> None:
        with Progress() as progress:
            self._programs = debian.postgresql(paths_from_environment(), progress)
        self._durable = durable
        self._folder = Path(tempfile.mkdtemp(prefix="audiojob-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        libraries = self._programs.parents[3] / "lib" / f"{os.uname().machine}-linux-gnu"
        self._call: dict[str, Any] = {"cwd": self._folder, "stdin": subprocess.DEVNULL, "env": {
            "PATH": os.environ["PATH"], "LC_ALL": "C", "LD_LIBRARY_PATH": str(libraries),
        }}  # fmt: skip
        if os.geteuid() == 0:
            entry = pwd.getpwnam(_USER)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
            self._call |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def __enter__(self) -> Self:
        data = self._folder / "data"
        command = [
            str(self._programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "audiojob",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._call)
        if done.returncode:
            raise DevError(f"initdb: {done.stderr[-800:]}")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, as in the API's settings."""
        return f"postgresql://audiojob@/{database}?host={self._folder}"

    def start(self) -> None:
        """Start it, or start it again with the data that it has."""
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder)]
        command += ["-c", "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=256MB"]
        if not self._durable:
            command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        log = (self._folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._call)
        ready, deadline = (
            [str(self._programs / "pg_isready"), "-q", "-h", str(self._folder)],
            time.monotonic() + _START_SECONDS,
        )
        while subprocess.run(ready, check=False, **self._call).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise DevError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-800:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends its sessions in order, SIGQUIT at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def create(self, database: str) -> str:
        """A fresh database, and its address."""
        command = [str(self._programs / "createdb"), "-h", str(self._folder), "-U", "audiojob", database]
        subprocess.run(command, check=True, capture_output=True, **self._call)
        return self.url(database)
