from __future__ import annotations

from datetime import date

import pytest

from audiojob_runner.fetch.ytdlp.version import age_warning


@pytest.mark.parametrize(
    ("version", "days"),
    [
        pytest.param("2026.10.26", None, id="a month old"),
        pytest.param("2026.09.26", None, id="sixty days"),
        pytest.param("2026.09.25", 61, id="sixty-one days"),
        pytest.param("2025.11.25.120000", 365, id="a nightly build"),
        pytest.param("unknown", None, id="no date"),
        pytest.param("2026.13.45", None, id="no day of the calendar"),
    ],
)
def test_an_old_version_is_told(version: str, days: int | None) -> None:
    warning = age_warning(version, date(2026, 11, 25))
    assert (warning is None) == (days is None)
    if days is not None:
        assert f"{days} days old" in str(warning)
