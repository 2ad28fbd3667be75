"""What outputs are called."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.unit.api.fakes import MemoryFiles

from audiojob_api.files.outputs import outputs_of, zip_call


@pytest.mark.parametrize("title", ["Mr. Brown", "Vol. 2 (Live) [feat. X]", "1.5"])
async def test_a_zip_is_named_as_its_piece_is(title: str) -> None:
    files = MemoryFiles()
    phase = files.publish("separate", {"vocals": b"sung", "drums": b"beaten"})
    key = phase["manifest"]["key"]
    files.contents[key] = json.dumps({**json.loads(files.contents[key]), "metadata": {"title": title}}).encode()
    phase["manifest"]["sha256"] = hashlib.sha256(files.contents[key]).hexdigest()
    job: dict[str, Any] = {"metadata": {"name": "song", "uid": "u"}, "status": {"phases": [phase]}}
    found = await outputs_of(files, "team", job)
    assert [each.name for each in found] == [f"{title} (vocals).bin", f"{title} (drums).bin"]
    assert zip_call("team", job, found).claims["name"] == f"{title}.zip"
