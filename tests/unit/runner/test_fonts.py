from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.test_repository import read

from audiojob_runner.fonts import DEBIAN_FONTS, ENV_FONTS, font_folders


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param("/a", ["/a"], id="one folder"),
        pytest.param("/a:/b/c", ["/a", "/b/c"], id="two folders"),
        pytest.param("", [DEBIAN_FONTS], id="named, but empty"),
        pytest.param(None, [DEBIAN_FONTS], id="not named"),
    ],
)
def test_folders(value: str | None, want: list[str]) -> None:
    environ = {} if value is None else {ENV_FONTS: value}
    assert font_folders(environ) == tuple(map(Path, want))


def test_the_image_has_them_where_it_says() -> None:
    dockerfile = read("images/Dockerfile")
    assert f"{ENV_FONTS}=/usr/share/audiojob/fonts" in dockerfile
    assert "install -d /usr/share/audiojob/fonts" in dockerfile
