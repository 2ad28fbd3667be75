from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from audiojob_runner.media.tags.bare import bare_picture
from audiojob_runner.media.tags.pictures import picture_size


def made(form: str, mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (300, 7)).save(file, format=form, **how)
    return file.getvalue()


@pytest.mark.parametrize(
    ("codec", "content"),
    [
        pytest.param("png", made("PNG"), id="PNG"),
        pytest.param("mjpeg", made("JPEG"), id="JPEG"),
        pytest.param("mjpeg", made("JPEG", progressive=True), id="JPEG, step by step"),
        pytest.param("mjpeg", made("JPEG", "CMYK"), id="JPEG, CMYK"),
        pytest.param("webp", made("WEBP"), id="WebP, lossy"),
        pytest.param("webp", made("WEBP", lossless=True), id="WebP, exact"),
        pytest.param("webp", made("WEBP", "RGBA"), id="WebP, extended"),
        pytest.param(
            "webp",
            made("WEBP", save_all=True, append_images=[Image.new("RGB", (300, 7), "red")]),
            id="WebP, the first of many",
        ),
    ],
)
def test_a_picture_says_how_large_it_is(codec: str, content: bytes) -> None:
    bare = bare_picture(codec, content)
    assert bare is not None
    assert picture_size(codec, bare) == (300, 7)
    for length in range(0, len(bare), 5):
        assert picture_size(codec, bare[:length]) in (None, (300, 7))
