"""`containers`: the container for several files together."""

from __future__ import annotations

import pytest

from audiojob_runner.media.containers import merged_extension


@pytest.mark.parametrize(
    ("extensions", "want"),
    [(["mp4", "m4a"], "mp4"), (["webm", "webm"], "webm"), (["mp4", "webm"], "mkv"), (["mp4", "mp4"], "mp4")],
)
def test_what_parts_are_put_together_in(extensions: list[str], want: str) -> None:
    assert merged_extension(extensions) == want
