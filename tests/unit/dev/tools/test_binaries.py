"""`binaries`: the machine's kubectl is used where it fits our API server; what is built is keyed by its sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_dev.tools import binaries


@pytest.mark.parametrize(
    ("printed", "linked"),
    [
        pytest.param('{"clientVersion": {"gitVersion": "v1.34.9"}}', True, id="the same minor version"),
        pytest.param('{"clientVersion": {"gitVersion": "v1.35.0-rc.1"}}', True, id="one minor version newer"),
        pytest.param('{"clientVersion": {"gitVersion": "v1.33.0"}}', True, id="one minor version older"),
        pytest.param('{"clientVersion": {"gitVersion": "v1.20.2"}}', False, id="Debian's, too old"),
        pytest.param('{"clientVersion": {"gitVersion": "v1.36.0"}}', False, id="two minor versions newer"),
        pytest.param("error: unknown flag", False, id="one that does not say"),
    ],
)
def test_the_machines_kubectl(printed: str, linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, target = tmp_path / "machine" / "kubectl", tmp_path / "bin"
    installed.parent.mkdir()
    target.mkdir()
    installed.write_text(f"#!/bin/sh\necho '{printed}'\n")
    installed.chmod(0o755)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert binaries.link_installed_kubectl(target) is linked
    assert [file.resolve() for file in target.iterdir()] == ([installed] if linked else [])


def test_a_machine_without_kubectl_has_it_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not binaries.link_installed_kubectl(tmp_path)
