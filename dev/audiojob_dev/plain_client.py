"""``python -m audiojob_dev.plain_client FOLDER``: the client for programs that wait, made of the one that awaits.

Both are the same text but for the words below, so that there is one to maintain, and no thread or loop behind either.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Final

SOURCE, TARGET = "asynchronous", "synchronous"
_WORDS: Final = {
    "AsyncClient": "Client",
    "AsyncGenerator": "Generator",
    "AsyncIterator": "Iterator",
    "AsyncJobs": "Jobs",
    "AsyncKeys": "Keys",
    "AsyncOutputs": "Outputs",
    "AsyncTransport": "Transport",
    "AsyncUploads": "Uploads",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "a_pause": "pause",
    "a_run": "run",
    "aclose": "close",
    "aclosing": "closing",
    "aiter_bytes": "iter_bytes",
    "asynccontextmanager": "contextmanager",
    SOURCE: TARGET,
}
_DROPPED: Final = frozenset({"async", "await"})
_HEAD: Final = (
    '"""The client for programs that wait. Made by `make generate` of ``asynchronous``; change it there."""\n'
)


def plain(text: str) -> str:
    """The source without its asynchronous words; all else stays as it is, letter by letter."""
    lines = text.splitlines(keepends=True)
    changes: list[tuple[int, int, int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.NAME:
            continue
        (row, begin), (_, end) = token.start, token.end
        if token.string in _DROPPED:
            changes.append((row, begin, end + 1, ""))  # and the blank behind it
        elif token.string in _WORDS:
            changes.append((row, begin, end, _WORDS[token.string]))
    for row, begin, end, word in reversed(changes):
        line = lines[row - 1]
        lines[row - 1] = line[:begin] + word + line[end:]
    return "".join(lines)


def write(client: Path) -> None:
    """Write all modules of ``client/synchronous``, and remove what ``client/asynchronous`` has no more."""
    target = client / TARGET
    target.mkdir(exist_ok=True)
    made = {"__init__.py": _HEAD}
    for path in sorted((client / SOURCE).glob("*.py")):
        made.setdefault(path.name, plain(path.read_text(encoding="utf-8")))
    for old in target.glob("*.py"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (target / name).write_text(text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--quiet", "--fix", "--select", "I", str(target)], check=True)
    subprocess.run([*ruff, "format", "--quiet", str(target)], check=True)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write(Path(argument))
        print(argument)
