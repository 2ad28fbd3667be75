"""Without Node.js, or with one that is too old, it is said what is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiojob_dev.errors import DevError
from audiojob_dev.paths import repository
from audiojob_dev.tools import npm


def test_without_node_what_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(DevError, match="apt-get install nodejs npm"):
        npm.node()


def test_an_old_node_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.4\n")
    old.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _name: str(old))
    with pytest.raises(DevError, match=r"is v18\.20\.4"):
        npm.node()


def test_every_package_has_a_hash_and_no_address() -> None:
    for folder in (repository() / "dev" / "node").iterdir():
        lock = json.loads((folder / "package-lock.json").read_text())
        packages = {name: entry for name, entry in lock["packages"].items() if name}
        assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())
