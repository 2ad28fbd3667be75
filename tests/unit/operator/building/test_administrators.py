"""What administrators say and jobs cannot change: where words are looked up, how long inputs may play."""

from __future__ import annotations

import pytest
from tests.unit.operator.builders import World, audio_job, phase, phase_input_of, pipeline, with_settings

ADDRESS = "https://lyrics.example.org/db"


@pytest.mark.parametrize(
    ("task", "address", "told", "egress"),
    [
        pytest.param("FindLyrics", ADDRESS, ADDRESS, "internet", id="the task that asks"),
        pytest.param("FindLyrics", None, None, "internet", id="none is set"),
        pytest.param("Download", ADDRESS, None, "internet", id="one that fetches"),
        pytest.param("Normalize", ADDRESS, None, "store", id="any other"),
    ],
)
def test_only_the_task_that_asks_is_told_where(task: str, address: str | None, told: str | None, egress: str) -> None:
    world = World(
        audiojob=audio_job(source={"url": "https://example.com/a.mp3"}),
        pipeline=pipeline(phase("first", task=task)),
        settings=with_settings(lyrics_address=address),
    )
    world.turn()
    job = world.newest("first")
    assert phase_input_of(job).network.lyrics_address == told
    assert job["spec"]["template"]["metadata"]["labels"]["audiojobs.dev/egress"] == egress


def test_the_longest_input_of_a_phase_is_the_pipelines_to_say() -> None:
    limited = {**phase("first", task="Normalize"), "maxDurationSeconds": 900}
    asked = audio_job(
        source={"url": "https://example.com/a.mp3"}, parameters={"normalize": {"maxDurationSeconds": 9_000}}
    )
    world = World(audiojob=asked, pipeline=pipeline(limited))
    world.turn()
    told = phase_input_of(world.newest("first"))
    assert (told.limits.max_duration_seconds, told.parameters["maxDurationSeconds"]) == (900, 9_000)
