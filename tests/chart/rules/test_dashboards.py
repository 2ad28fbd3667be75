"""The dashboards by Grafana's own schema (its Go module; Grafana itself is under the AGPL)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries
from audiojob_dev.tools.versions import DASHBOARD_CHECK

pytestmark = pytest.mark.chart

FILES = sorted((repository() / "charts" / "audiojob" / "files" / "monitoring" / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def checker() -> Path:
    with Progress() as progress:
        return binaries.ensure_apart(paths_from_environment(), DASHBOARD_CHECK, progress)


def refused(checker: Path, *files: Path) -> str:
    """What the schema has against these files."""
    done = subprocess.run([checker, *files], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is not bool(done.stderr)
    return done.stderr


def test_each_dashboard_fits_the_schema(checker: Path) -> None:
    assert len(FILES) == 4
    assert refused(checker, *FILES) == ""


def test_a_field_that_grafana_does_not_know_is_refused(checker: Path, tmp_path: Path) -> None:
    board = json.loads(FILES[0].read_text(encoding="utf-8"))
    board["panels"][1]["colour"] = "red"
    file = tmp_path / "board.json"
    file.write_text(json.dumps(board), encoding="utf-8")
    assert "colour" in refused(checker, file)
