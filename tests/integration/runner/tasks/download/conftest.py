"""Streams that real ffmpeg has made, and a site that serves them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integration.runner.tasks.web import Web

TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml", ".ts": "video/mp2t"}


@pytest.fixture(scope="session")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds as HLS and as DASH: two pictures, 360 and 720 lines high, and sound apart."""
    folder = tmp_path_factory.mktemp("streams")
    made = [
        "-f", "lavfi", "-i", "testsrc=duration=8:size=1280x720:rate=5",
        "-f", "lavfi", "-i", "sine=440:duration=8:sample_rate=44100",
        "-map", "0:v", "-map", "0:v", "-map", "1:a",
        "-filter:v:1", "scale=640:360", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10",
        "-c:a", "aac", "-ac", "2", "-b:v:0", "400k", "-b:v:1", "100k", "-b:a", "64k",
    ]  # fmt: skip
    hls = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8"]
    hls += ["-var_stream_map", "v:0,agroup:a v:1,agroup:a a:0,agroup:a,default:yes", "hls_%v.m3u8"]
    dash = ["-f", "dash", "-seg_duration", "2", "-adaptation_sets", "id=0,streams=v id=1,streams=a", "manifest.mpd"]
    for output in (hls, dash):
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *made, *output], cwd=folder, check=True, timeout=120)
    return folder


@pytest.fixture
def site(web: Web, streams: Path) -> Web:
    """The streams, and a page that tells of them."""
    for path in streams.iterdir():
        kind = TYPES.get(path.suffix, "application/octet-stream")
        web.serve(f"/{path.name}", path.read_bytes(), Content_Type=kind)
    return web
