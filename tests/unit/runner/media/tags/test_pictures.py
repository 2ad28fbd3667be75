"""Pictures are what their first bytes say."""

from __future__ import annotations

import pytest

from audiojob_runner.media.tags.pictures import picture_kind


@pytest.mark.parametrize(
    ("head", "want"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg_pipe"),
        (b"\x89PNG\r\n\x1a\n", "png_pipe"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp_pipe"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg xmlns=", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_pictures_are_told_by_their_first_bytes(head: bytes, want: str | None) -> None:
    kind = picture_kind(head)
    assert (kind.demuxer if kind else None) == want
