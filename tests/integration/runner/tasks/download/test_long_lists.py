"""Lists of a few hundred bytes that stand for millions of pieces, and lists of more formats than any site has."""

from __future__ import annotations

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Web

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback"),
]
# Enough to be refused, and few enough for this machine if it is not.
REPEATED = 1_000_000
DASH = (
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT10S"><Period><AdaptationSet '
    f'mimeType="audio/mp4"><SegmentTemplate media="$Number$.m4s"><SegmentTimeline><S d="1" r="{REPEATED}"/>'
    '</SegmentTimeline></SegmentTemplate><Representation id="a" bandwidth="1"/></AdaptationSet></Period></MPD>'
)
SMOOTH = (
    '<SmoothStreamingMedia Duration="100000000"><StreamIndex Type="audio" Url="a">'
    f'<QualityLevel Bitrate="1" FourCC="AACL"/><c t="0" d="1" r="{REPEATED}"/></StreamIndex></SmoothStreamingMedia>'
)
FLASH = (
    '<manifest xmlns="http://ns.adobe.com/f4m/1.0"><bootstrapInfo id="b">AAAA</bootstrapInfo>'
    '<media url="a" bootstrapInfoId="b" bitrate="1"/></manifest>'
)
MASTER = "#EXTM3U\n" + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH={number}\n{number}.m3u8\n" for number in range(1, 2_100))


@pytest.mark.parametrize("task", [Task.DOWNLOAD, Task.INSPECT])
@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        pytest.param("/a.mpd", "application/dash+xml", DASH, id="DASH"),
        pytest.param("/a.ism/manifest", "application/vnd.ms-sstr+xml", SMOOTH, id="Smooth Streaming"),
        pytest.param("/a.m3u8", "application/vnd.apple.mpegurl", MASTER, id="HLS"),
        pytest.param("/page", "text/html", DASH, id="what calls itself a page"),
    ],
)
def test_it_ends_before_it_is_written_out(bench: Bench, web: Web, task: Task, path: str, kind: str, text: str) -> None:
    url = web.serve(path, text.encode(), Content_Type=kind)
    with pytest.raises(PhaseError) as caught:
        bench.run(task, url)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.NOT_MEDIA, Reason.TOO_LARGE), caught.value
    assert "lists more" in caught.value.message


def test_lists_of_flash_are_not_read(bench: Bench, web: Web) -> None:
    """A bootstrap of a hundred bytes says how many pieces there are: four thousand million."""
    url = web.serve("/a.f4m", FLASH.encode(), Content_Type="application/f4m+xml")
    bench.run(Task.INSPECT, url)
    with pytest.raises(PhaseError, match="only there for Flash") as caught:
        bench.run(Task.DOWNLOAD, url)
    assert caught.value.exit_code == ExitCode.NOT_MEDIA


@pytest.mark.parametrize("path", ["/a.mpd", "/page"])
def test_numbers_that_are_none_are_no_traceback(bench: Bench, web: Web, path: str) -> None:
    text = DASH.replace(f'r="{REPEATED}"', 'r="many"')
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, web.serve(path, text.encode(), Content_Type="application/dash+xml"))
    assert caught.value.message.endswith(".")
    assert "Traceback" not in caught.value.message
