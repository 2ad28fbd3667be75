"""Pages and playlists, which are left to yt-dlp, from real servers on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.download.test_sources import by_yt_dlp, failure
from tests.integration.runner.tasks.web import Web

from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

pytestmark = pytest.mark.usefixtures("collected", "loopback")


@by_yt_dlp
def test_a_page_with_a_song_is_left_to_yt_dlp(bench: Bench, web: Web, sounds: Path) -> None:
    song = (sounds / "tone.mp3").read_bytes()
    web.serve("/tone.mp3", song, Content_Type="audio/mpeg")
    page = "<html><head><title>../My \u202eSong</title></head><body><audio src='/tone.mp3'></audio></body></html>"
    result = bench.run(Task.DOWNLOAD, web.serve("/page", page.encode(), Content_Type="text/html; charset=utf-8"))
    (output,) = result.outputs
    assert output.path.read_bytes() == song
    assert "Song" in result.metadata["title"]
    assert "\u202e" not in result.metadata["title"]
    assert [path.name for path in bench.work.iterdir()] == ["source.mp3"]


@by_yt_dlp
def test_a_page_cannot_lead_yt_dlp_into_the_network(bench: Bench, web: Web, canary: Web) -> None:
    page = f"<html><head><title>x</title></head><body><audio src='{canary.url}/secret.mp3'></audio></body></html>"
    error = failure(bench, web.serve("/page", page.encode(), Content_Type="text/html"))
    assert (error.exit_code, error.reason) == (69, Reason.BLOCKED_ADDRESS)


@by_yt_dlp
@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        pytest.param(b"<html><body>nothing</body></html>", 66, Reason.SOURCE_UNAVAILABLE, id="a page"),
        pytest.param(b"", 65, Reason.NOT_MEDIA, id="an empty page"),
    ],
)
def test_a_page_without_sound(bench: Bench, web: Web, body: bytes, code: int, reason: Reason) -> None:
    error = failure(bench, web.serve("/page", body, Content_Type="text/html"))
    assert (error.exit_code, error.reason) == (code, reason)


@by_yt_dlp
def test_a_page_with_many_songs_is_refused(bench: Bench, web: Web) -> None:
    songs = "".join(f"<audio src='/{number}.mp3'></audio>" for number in range(5))
    page = f"<html><head><title>x</title></head><body>{songs}</body></html>"
    error = failure(bench, web.serve("/page", page.encode(), Content_Type="text/html"))
    assert (error.exit_code, error.reason) == (64, Reason.INVALID_SPEC)
    assert "several" in error.message


def hls(web: Web, *segments: str) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:4", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for segment in segments:
        lines += ["#EXTINF:4,", segment]
    text = "\n".join([*lines, "#EXT-X-ENDLIST", ""])
    return web.serve("/list.m3u8", text.encode(), Content_Type="application/vnd.apple.mpegurl")


@by_yt_dlp
def test_a_stream_in_segments_is_put_together_without_ffmpeg(bench: Bench, web: Web) -> None:
    segment = b"\x47" + bytes(187)
    for name in ("/1.ts", "/2.ts"):
        web.serve(name, segment * 100, Content_Type="video/mp2t")
    (output,) = bench.run(Task.DOWNLOAD, hls(web, "/1.ts", "/2.ts")).outputs
    assert output.path.read_bytes() == segment * 200


@by_yt_dlp
@pytest.mark.parametrize(("target", "code"), [("http", 69), ("file", 66)])
def test_a_segment_elsewhere_is_not_fetched(
    bench: Bench, web: Web, canary: Web, tmp_path: Path, target: str, code: int
) -> None:
    secret = tmp_path / "secret.ts"
    secret.write_bytes(b"\x47secret" * 100)
    web.serve("/1.ts", b"\x47" + bytes(187), Content_Type="video/mp2t")
    elsewhere = f"{canary.url}/secret.mp3" if target == "http" else f"file://{secret}"
    assert failure(bench, hls(web, "/1.ts", elsewhere)).exit_code == code
    assert not any(b"secret" in path.read_bytes() for path in bench.work.rglob("*") if path.is_file())
