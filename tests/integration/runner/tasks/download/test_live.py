"""Live streams: refused unless asked for, and recorded until they end, stand still or are long enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.download.conftest import TYPES
from tests.integration.runner.tasks.download.test_formats import assert_one_percentage_of_few, failure
from tests.integration.runner.tasks.web import Handler, Web

from audiojob_runner.fetch.ytdlp import record
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

# yt-dlp leaves answers and half-written files open when it raises. Ours are closed: any other test fails for them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback"),
]


class Live:
    """A live stream: each look at its playlist finds one segment more, without end."""

    def __init__(self, web: Web, streams: Path, *, pieces: int = 1_000) -> None:
        self.names = sorted(path.name for path in streams.glob("hls_2*.ts"))
        self.pieces, self.looks = pieces, 0
        web.routes["/live.m3u8"] = self.answer

    def answer(self, handler: Handler) -> None:
        self.looks += 1
        first, last = self.looks, min(self.looks + 2, self.pieces)
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        for number in range(first, last + 1):
            lines += ["#EXTINF:2,", f"/{self.names[number % len(self.names)]}"]
        if last == self.pieces:
            lines.append("#EXT-X-ENDLIST")
        handler.answer(200, "\n".join(lines).encode(), Content_Type=TYPES[".m3u8"])


def test_B20_a_live_stream_is_refused_unless_asked_for(bench: Bench, site: Web, streams: Path) -> None:  # noqa: N802
    Live(site, streams)
    error = failure(bench, f"{site.url}/live.m3u8")
    assert (error.exit_code, error.reason) == (66, Reason.LIVE_NOT_ALLOWED)
    assert not [path for path, _ in site.asked if path.endswith(".ts")]


@pytest.mark.parametrize(
    ("pieces", "asked"),
    [pytest.param(1_000, 8, id="until it is long enough"), pytest.param(12, 60, id="until it ends")],
)
def test_a_live_stream_is_recorded_on_request(bench: Bench, site: Web, streams: Path, pieces: int, asked: int) -> None:
    live = Live(site, streams, pieces=pieces)
    result = bench.run(Task.DOWNLOAD, f"{site.url}/live.m3u8", allowLive=True, maxRecordingSeconds=asked)
    fetched = [path.removeprefix("/") for path, _ in site.asked if path.endswith(".ts")]
    assert result.outputs[0].path.read_bytes() == b"".join((streams / name).read_bytes() for name in fetched)
    assert 4 <= len(fetched) <= 12
    assert live.looks < 20
    assert_one_percentage_of_few(bench)


def test_a_live_stream_that_stands_still_ends(
    bench: Bench, site: Web, streams: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "PATIENT_ROUNDS", 2)
    live = Live(site, streams)
    frozen = site.routes["/live.m3u8"]

    def answer(handler: Handler) -> None:
        live.looks = 0
        frozen(handler)

    site.routes["/live.m3u8"] = answer
    result = bench.run(Task.DOWNLOAD, f"{site.url}/live.m3u8", allowLive=True, maxRecordingSeconds=600)
    assert result.outputs[0].path.stat().st_size > 0


def test_cancelling_ends_a_recording(bench: Bench, site: Web, streams: Path) -> None:
    Live(site, streams)
    bench.on_progress = lambda: bench.cancelled.set() if bench.reports[-1][0] > 0 else None
    error = failure(bench, f"{site.url}/live.m3u8", allowLive=True, maxRecordingSeconds=3_600)
    assert (error.exit_code, error.reason) == (143, Reason.STOPPED)
