"""Inspect, from real servers on loopback: files by their head, pages and lists by yt-dlp; no media is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Web

from audiojob_runner.errors import PhaseError
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback"),
]


def look(bench: Bench, source: str | Path, **parameters: Any) -> dict[str, Any]:
    result = bench.run(Task.INSPECT, source, **parameters)
    (output,) = result.outputs
    assert (output.name, output.path.name, output.media_type) == ("info", "info.json", "application/json")
    assert bench.reports[-1][0] == 100
    found: dict[str, Any] = json.loads(output.path.read_text())
    assert result.metadata["kind"] == found["kind"]
    return found


def test_a_file_is_told_by_its_head(bench: Bench, web: Web) -> None:
    url = web.serve("/a%20song.flac", bytes(5_000_000), Content_Type="audio/flac")
    assert look(bench, url) == {"kind": "File", "mediaType": "audio/flac", "extension": "flac", "bytes": 5_000_000}


def test_an_upload_is_told_without_a_network(bench: Bench, sounds: Path) -> None:
    size = (sounds / "tone.mp3").stat().st_size
    want = {"kind": "File", "mediaType": "audio/mpeg", "extension": "mp3", "bytes": size}
    assert look(bench, sounds / "tone.mp3") == want


def test_a_page_is_described_in_plain_text(bench: Bench, web: Web) -> None:
    described = {
        "@context": "https://schema.org", "@type": "VideoObject", "name": "A \u202eSong", "duration": "PT3M20S",
        "contentUrl": f"{web.url}/film.mp4", "uploadDate": "2026-01-02", "description": "One\nTwo\x00",
    }  # fmt: skip
    web.serve("/film.mp4", bytes(5_000_000), Content_Type="video/mp4")
    text = f'<html><head><script type="application/ld+json">{json.dumps(described)}</script></head></html>'
    found = look(bench, web.serve("/page", text.encode(), Content_Type="text/html"))
    assert (found["kind"], found["title"], found["durationSeconds"]) == ("Item", "A Song", 200)
    assert [each["extension"] for each in found["formats"]] == ["mp4"]
    assert "\u202e" not in json.dumps(found, ensure_ascii=False)


def test_a_page_with_several_songs_is_a_list(bench: Bench, web: Web) -> None:
    songs = "".join(f"<audio src='/{number}.mp3'></audio>" for number in range(5))
    page = f"<html><head><title>Songs</title></head><body>{songs}</body></html>"
    found = look(bench, web.serve("/page", page.encode(), Content_Type="text/html"), maxEntries=3)
    assert (found["kind"], found["truncated"], len(found["entries"])) == ("List", True, 3)


def test_a_page_without_anything(bench: Bench, web: Web) -> None:
    with pytest.raises(PhaseError) as caught:
        look(bench, web.serve("/page", b"<html></html>", Content_Type="text/html"))
    assert (caught.value.exit_code, caught.value.reason) == (66, Reason.SOURCE_UNAVAILABLE)


def test_the_time_by_the_clock_ends_a_look(bench: Bench, web: Web) -> None:
    def silent(handler: Any) -> None:
        handler.server.stopped.wait(10)

    import threading

    web.stopped = threading.Event()  # type: ignore[attr-defined]
    web.routes["/page"] = silent
    try:
        with pytest.raises(PhaseError) as caught:
            look(bench, f"{web.url}/page", timeoutSeconds=1)
    finally:
        web.stopped.set()  # type: ignore[attr-defined]
    assert (caught.value.exit_code, caught.value.reason) == (75, Reason.TOO_SLOW)
