"""What the tests of prefetch share: files that stand for weights, their server, a volume, and the command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.runner.tasks.web import Handler, Web

from audiojob_runner.errors import PhaseError
from audiojob_runner.models.volume import LOCK_NAME
from audiojob_runner.phase.watchdog import Interruption
from audiojob_runner.prefetch.command import Prefetch, fill
from audiojob_types.models import KnownModel, ModelRecord, file_name

LOOPBACK = ("127.0.0.0/8:*",)
SIZE = 600_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def weights(seed: int, size: int = SIZE) -> bytes:
    """Bytes that stand for a file of weights: nothing here looks into them."""
    return bytes((index * 7 + seed) % 251 for index in range(1_000)) * (size // 1_000)


def as_published(folder: str, signature: str, content: bytes) -> str:
    """A path as demucs' list has it, with the true first digits of the sha256."""
    return f"{folder}/{signature}-{sha256(content)[:8]}.th"


ONE, TWO, THREE = weights(1), weights(2), weights(3)
ONE_PATH, TWO_PATH, THREE_PATH = (
    as_published("a", "0000000a", ONE),
    as_published("b", "0000000b", TWO),
    as_published("b", "0000000c", THREE),
)
ONE_NAME, TWO_NAME, THREE_NAME = map(file_name, (ONE_PATH, TWO_PATH, THREE_PATH))
TABLE = {
    "htdemucs": KnownModel((ONE_PATH,)),
    "mdx": KnownModel((TWO_PATH, THREE_PATH, TWO_PATH), ((1.0, 0.0), (0.5, 1.0), (0.0, 1.0)), segment=44),
}


def ranges(body: bytes, *, cut: int | None = None) -> Callable[[Handler], None]:
    """Serve a file as good servers do, with ranges; ``cut``: break off after so many bytes of an answer."""

    def route(handler: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if start >= len(body):
            handler.answer(416, b"", Content_Range=f"bytes */{len(body)}")
            return
        part = body[start:]
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        handler.wfile.write(part if cut is None else part[:cut])
        handler.close_connection = True

    return route


@dataclass
class Filling:
    """A folder, a server, and what was reported."""

    root: Path
    web: Web
    reports: list[tuple[str, ModelRecord]] = field(default_factory=list)
    interruption: Interruption = field(default_factory=Interruption)

    def serve_all(self) -> None:
        for path, body in ((ONE_PATH, ONE), (TWO_PATH, TWO), (THREE_PATH, THREE)):
            self.web.routes[f"/demucs/{path}"] = ranges(body)

    @property
    def base(self) -> str:
        return f"{self.web.url}/demucs/"

    def order(self, *models: str, **changes: Any) -> Prefetch:
        given: dict[str, Any] = {"base_url": self.base, "allowed_cidrs": LOOPBACK, "table": TABLE, **changes}
        return Prefetch(models=models or ("htdemucs",), root=self.root, **given)

    def run(self, *models: str, **changes: Any) -> list[PhaseError]:
        self.reports.clear()
        return fill(self.order(*models, **changes), self.interruption, lambda *told: self.reports.append(told))

    def refused(self, *models: str, **changes: Any) -> PhaseError:
        """The one failure of a run."""
        [error] = self.run(*models, **changes)
        return error

    def last(self, model: str = "htdemucs") -> ModelRecord:
        return [record for name, record in self.reports if name == model][-1]

    def lock(self) -> dict[str, str]:
        files = json.loads((self.root / LOCK_NAME).read_text(encoding="utf-8"))["files"]
        return {name: record["sha256"] for name, record in files.items()}

    def asked(self) -> list[tuple[str, str]]:
        """What the server was asked: path, and the range or nothing."""
        return [(path.removeprefix("/demucs/"), headers.get("Range", "")) for path, headers in self.web.asked]

    def files(self) -> set[str]:
        return {path.name for path in self.root.iterdir() if not path.name.startswith(".")}


def driver(tmp_path: Path) -> Path:
    """A script that runs the command's own function on the table of these tests."""
    script = tmp_path / "driver.py"
    text = f"""
        import os, sys
        from pathlib import Path
        from audiojob_runner.prefetch.command import Prefetch, run_prefetch
        from audiojob_runner.settings import Paths
        from audiojob_types.models import KnownModel
        base, root, pod, *models = sys.argv[1:]
        order = Prefetch(tuple(models), base, Path(root), {LOOPBACK!r}, {TABLE!r})
        sys.exit(run_prefetch(order, os.environ, Paths.under(Path(pod))))
        """
    script.write_text(textwrap.dedent(text), encoding="utf-8")
    return script


@dataclass
class Process:
    """Prefetch in a process of its own."""

    tmp_path: Path
    base: str
    environ: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()

    def start(self, *models: str) -> subprocess.Popen[str]:
        arguments = [self.base, str(self.tmp_path / "models"), str(self.tmp_path / "pod"), *(models or ("htdemucs",))]
        command = [*self.wrapper, sys.executable, str(driver(self.tmp_path)), *arguments]
        return subprocess.Popen(command, env=os.environ | self.environ, stderr=subprocess.PIPE, text=True)

    def run(self, *models: str) -> tuple[int, str]:
        process = self.start(*models)
        _, said = process.communicate(timeout=60)
        return process.returncode, said
