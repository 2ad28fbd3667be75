from __future__ import annotations

from audiojob_dev.demo.sheetmusic import request
from audiojob_types.resources.job import AudioJob


def test_the_job_is_one_that_the_api_takes() -> None:
    job = AudioJob.model_validate(request("sheet-music-1"))
    assert job.spec.pipeline == "sheet-music"
