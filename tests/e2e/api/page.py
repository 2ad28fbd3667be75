"""The walk of docs/api.md as a program: what is tried here is what people read there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
_STRICT = "fail-with-body\nshow-error\n"  # for each curl: a status from 400 on ends the walk
_SECONDS = 240


def blocks(language: str, section: str = "A walk") -> list[str]:
    """The code of a section, in its order."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [text for text in sections if text.startswith(f"{section}\n")]
    return re.findall(rf"^```{language}\n(.*?)^```", found, flags=re.MULTILINE | re.DOTALL)


def access(changes: Mapping[str, str]) -> dict[str, Any]:
    """The chart's `api.access` of the page, for this cluster."""
    (text,) = blocks("yaml")
    found: dict[str, Any] = yaml.safe_load(changed(text, changes))["api"]["access"]
    return found


def changed(text: str, changes: Mapping[str, str]) -> str:
    """The text with what is other here than in the example. Each must be there: the page may have moved on."""
    for old, new in changes.items():
        assert old in text, f"docs/api.md has no {old!r} any more, or not here"
        text = text.replace(old, new)
    return text


@dataclass(frozen=True, slots=True)
class Shell:
    """A person's shell in a folder: what one block sets, the next one has."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, block: str) -> str:
        """What the block printed. A command that fails ends it, and the test with what was said."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        (home / ".curlrc").write_text(_STRICT)
        state = home / "state"
        state.touch()
        script = f"set -euo pipefail; source {state}\n{block}\ndeclare -p | grep -E '^declare -- [A-Z]+=' >{state}"
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **self.environment}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout
