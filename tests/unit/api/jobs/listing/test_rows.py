"""Jobs of the read model come out as they went in, and small."""

from __future__ import annotations

import json

import pytest

from audiojob_api.jobs.listing.rows import row_of


@pytest.mark.parametrize("phases", [0, 5, 30, 3_000], ids=["new", "some phases", "above 4 KiB", "large"])
def test_a_row_gives_back_its_job(phases: int) -> None:
    job = {
        "metadata": {"name": "a", "uid": "1", "resourceVersion": "1"},
        "spec": {"pipeline": "separate", "source": {"url": "https://example.org/ö.flac"}},
        "status": {"phases": [{"name": f"phase-{number}", "state": "Succeeded"} for number in range(phases)]},
    }
    row = row_of(job)
    assert row.unpack() == job
    assert len(row.packed) < len(json.dumps(job))
