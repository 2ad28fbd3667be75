"""The OpenAPI document and the API agree: Schemathesis sends what the one allows, and what it does not, to the other.

In `make test` the same requests each time; `make fuzz-api` sends others for SECONDS.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import pytest
from tests.integration.api.conftest import JOBS, URL
from tests.integration.api.whole.conftest import Whole

from audiojob_dev.rest import wait_until

pytestmark = pytest.mark.integration

CONFIG = Path(__file__).with_name("schemathesis.toml")
SECONDS = int(os.environ.get("API_FUZZ_SECONDS", "0"))
# Some by chance for each route, good and bad, and some one after another. What takes longer is to try each boundary of
# each parameter.
SHORT = ("--phases", "fuzzing,stateful", "--generation-deterministic", "--max-examples", "8")


def seeded(whole: Whole, folder: Path) -> Path:
    """The configuration, with names of jobs in several states, of uploads and of keys."""
    api, jobs = whole.api, ("fuzz-ended", "fuzz-failed", "fuzz-running", "fuzz-waiting")
    for name in jobs:
        status, answer = api.create(name=name, pipeline="separate", source=URL)
        assert status == 201, answer
    whole.publish("fuzz-ended", "separate", {"vocals": b"fLaC" + bytes(1_000)})
    failed = {"name": "separate", "attempt": 1, "state": "Failed"}
    why = {"reason": "Crashed", "phase": "separate", "message": "It crashed.", "retryable": True}
    whole.publish("fuzz-failed", "separate", {}, state="Failed", phases=[failed], error=why)
    api.set_status("fuzz-running", state="Running", phases=[{**failed, "state": "Running"}])

    def seen() -> bool:
        return bool(api.call("GET", f"{JOBS}/fuzz-running")[1]["status"]["state"] == "Running")

    wait_until("the states in the read model", seen, seconds=60)
    uploads = [_made(whole, "uploads", {"name": "a.flac", "bytes": 3}) for _ in range(12)]
    keys = [_made(whole, "keys", {"name": "k", "scopes": ["jobs:read"]}) for _ in range(12)]
    text = Template(CONFIG.read_text(encoding="utf-8")).substitute(
        jobs=_listed(jobs),
        namespace=api.namespace,
        uploads=_listed(uploads[:4]),
        doomed=_listed(uploads[4:]),
        keys=_listed(keys),
    )
    written = folder / "schemathesis.toml"
    written.write_text(text)
    return written


def _made(whole: Whole, what: str, body: Any) -> str:
    status, answer = whole.api.call("POST", f"/api/v1/{what}", body)
    assert status == 201, answer
    return str(answer["id"])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@pytest.mark.timeout(SECONDS + 600)
def test_every_answer_is_one_that_the_document_describes(whole: Whole, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(seeded(whole, tmp_path)),
        "run", f"{whole.url}/openapi.json", "--header", f"Authorization: Bearer {whole.api.token}",
        "--no-color", "--continue-on-failure", *(("--max-time", str(SECONDS)) if SECONDS else SHORT),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    print(found.stdout)
    assert found.returncode == 0, found.stdout + found.stderr
    log = whole.api.log.read_text()
    assert "Traceback" not in log, log[-20_000:]
    assert whole.api.token not in log
