"""Download by intent, from real streams on loopback: HLS and DASH with picture and sound apart, and what goes along."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.download.conftest import TYPES
from tests.integration.runner.tasks.web import Handler, Web, drip, ranged

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch import plainhttp
from audiojob_runner.fetch.egress import rates
from audiojob_runner.tasks import TaskResult
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

# yt-dlp leaves answers and half-written files open when it raises. Ours are closed: any other test fails for them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("collected", "loopback"),
]


def page(web: Web, media: str, *more: Any) -> str:
    """A page about one video; ``more`` are members of its JSON-LD."""
    described = {
        "@context": "https://schema.org", "@type": "VideoObject", "name": "A Song", "contentUrl": f"{web.url}/{media}",
        "description": "First line", "uploadDate": "2026-01-02",
    }  # fmt: skip
    described |= dict(zip(more[::2], more[1::2], strict=True))
    text = (
        f'<html><head><title>t</title><script type="application/ld+json">{json.dumps(described)}</script></head></html>'
    )
    return web.serve("/page", text.encode(), Content_Type="text/html; charset=utf-8")


def failure(bench: Bench, url: str, **parameters: Any) -> PhaseError:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.DOWNLOAD, url, **parameters)
    return caught.value


def probed(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return found


def kinds(result: TaskResult) -> list[tuple[str, str, int]]:
    """Kind, codec and height of each stream of the first output."""
    found = probed(result.outputs[0].path)["streams"]
    return [(each["codec_type"], each["codec_name"], each.get("height", 0)) for each in found]


def assert_one_percentage(bench: Bench) -> None:
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert len({int(percent) for percent in percents}) > 3


@pytest.mark.parametrize(
    ("manifest", "wanted", "want"),
    [
        pytest.param("master.m3u8", {}, [("audio", "aac", 0)], id="HLS, sound"),
        pytest.param("manifest.mpd", {}, [("audio", "aac", 0)], id="DASH, sound"),
        pytest.param(
            "master.m3u8", {"format": "BestVideo"}, [("video", "h264", 720), ("audio", "aac", 0)], id="HLS, the best"
        ),
        pytest.param(
            "manifest.mpd", {"format": "Video480p"}, [("video", "h264", 360), ("audio", "aac", 0)], id="DASH, up to 480"
        ),
        pytest.param(
            "manifest.mpd",
            {"format": "Video720p", "container": "mp4"},
            [("video", "h264", 720), ("audio", "aac", 0)],
            id="DASH, as mp4",
        ),
    ],
)
def test_formats_are_chosen_by_intent_and_put_together_by_our_own_ffmpeg(
    bench: Bench, site: Web, manifest: str, wanted: dict[str, Any], want: list[tuple[str, str, int]]
) -> None:
    result = bench.run(Task.DOWNLOAD, f"{site.url}/{manifest}", **wanted)
    assert kinds(result) == want
    assert float(probed(result.outputs[0].path)["format"]["duration"]) == pytest.approx(8, abs=0.3)
    assert sorted(path.name for path in bench.work.iterdir()) == [result.outputs[0].path.name]
    assert_one_percentage(bench)


@pytest.mark.parametrize(
    ("container", "codec", "media_type"),
    [
        ("mp3", "mp3", "audio/mpeg"),
        ("m4a", "aac", "audio/mp4"),
        ("opus", "opus", "audio/ogg"),
        ("flac", "flac", "audio/flac"),
    ],
)
def test_sound_in_the_container_that_was_asked_for_with_its_tags(
    bench: Bench, site: Web, container: str, codec: str, media_type: str
) -> None:
    result = bench.run(Task.DOWNLOAD, page(site, "manifest.mpd"), container=container)
    (output,) = result.outputs
    assert (output.path.name, output.media_type) == (f"source.{container}", media_type)
    assert kinds(result) == [("audio", codec, 0)]
    found = probed(output.path)
    tags = {**found["format"].get("tags", {}), **found["streams"][0].get("tags", {})}
    assert "A Song" in {name.lower(): value for name, value in tags.items()}["title"]
    assert_one_percentage(bench)


@pytest.mark.parametrize("wanted", [{"container": "mp3"}, {"container": "m4a"}, {"format": "Video360p"}], ids=str)
def test_chapters_of_a_page_are_in_info_and_in_the_file(bench: Bench, site: Web, wanted: dict[str, Any]) -> None:
    told = [("Verse", 0, 3), ("Chorus", 3, 8)]
    clips = [{"@type": "Clip", "name": name, "startOffset": start, "endOffset": end} for name, start, end in told]
    result = bench.run(Task.DOWNLOAD, page(site, "manifest.mpd", "hasPart", clips), info=True, **wanted)
    info = json.loads(next(each.path for each in result.outputs if each.name == "info").read_text())
    assert [(each["title"], each["startSeconds"], each["endSeconds"]) for each in info["chapters"]] == told
    own = probed(result.outputs[0].path)["chapters"]
    assert [each["tags"]["title"] for each in own] == [name for name, _, _ in told]
    times = [(float(each["start_time"]), float(each["end_time"])) for each in own]
    assert np.array(times) == pytest.approx(np.array([(start, end) for _, start, end in told]), abs=0.1)


def test_a_page_names_its_piece_and_the_files_tags_say_what_it_does_not(
    bench: Bench, web: Web, tmp_path: Path, sounds: Path
) -> None:
    tagged = tag(sounds / "tone.mp3", tmp_path / "tagged.mp3", title="Of the file", album="Sky", artist="Of the file")
    web.serve("/tone.mp3", tagged.read_bytes(), Content_Type="audio/mpeg")
    (output,) = bench.run(Task.DOWNLOAD, page(web, "tone.mp3", "byArtist", {"name": "A Band"})).outputs
    assert {name: output.metadata.get(name) for name in ("title", "artist", "album", "date")} == {
        "title": "A Song",
        "artist": "A Band",
        "album": "Sky",
        "date": "2026-01-02",
    }


@pytest.mark.parametrize("container", ["original", "mp3"])
@pytest.mark.parametrize("way", ["a file's address", "an upload"])
def test_a_file_is_named_by_its_own_tags(
    bench: Bench, web: Web, tmp_path: Path, sounds: Path, way: str, container: str
) -> None:
    named = {"title": "Blue", "artist": "A Band", "album": "Sky", "date": "2026"}
    tagged = tag(sounds / "tone.flac", tmp_path / "tagged.flac", **named, copyright="left behind")
    source = web.serve("/a.flac", tagged.read_bytes()) if way == "a file's address" else tagged
    (output,) = bench.run(Task.DOWNLOAD, source, container=container).outputs
    assert {name: value for name, value in output.metadata.items() if name != "converted"} == named


def tag(source: Path, target: Path, **tags: str) -> Path:
    """The same sound with these tags."""
    words = [word for name, value in tags.items() for word in ("-metadata", f"{name}={value}")]
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(source), "-c", "copy", *words, str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target


def test_a_file_is_converted_too(bench: Bench, web: Web, sounds: Path) -> None:
    url = web.serve("/tone.flac", (sounds / "tone.flac").read_bytes(), Content_Type="audio/flac")
    assert kinds(bench.run(Task.DOWNLOAD, url, container="mp3")) == [("audio", "mp3", 0)]
    assert_one_percentage_of_few(bench)


def assert_one_percentage_of_few(bench: Bench) -> None:
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_an_upload_is_converted_too(bench: Bench, sounds: Path) -> None:
    result = bench.run(Task.DOWNLOAD, sounds / "tone.wav", container="opus")
    assert kinds(result) == [("audio", "opus", 0)]
    assert result.metadata == {"upload": True}


def test_a_file_that_is_no_media_cannot_be_converted(bench: Bench, web: Web) -> None:
    error = failure(bench, web.serve("/a.mp3", b"MZ not media" * 100, Content_Type="audio/mpeg"), container="flac")
    assert (error.exit_code, error.reason) == (65, Reason.NOT_MEDIA)


def test_a_picture_cannot_be_had_of_sound(bench: Bench, web: Web, sounds: Path) -> None:
    web.serve("/tone.mp3", (sounds / "tone.mp3").read_bytes(), Content_Type="audio/mpeg")
    text = "<html><head><title>x</title></head><body><audio src='/tone.mp3'></audio></body></html>"
    error = failure(bench, web.serve("/page", text.encode(), Content_Type="text/html"), format="Video720p")
    assert (error.exit_code, error.reason) == (65, Reason.NOT_MEDIA)
    assert "no picture" in error.message


def test_a_stream_of_unknown_size_ends_at_the_limit_of_bytes(bench: Bench, site: Web, streams: Path) -> None:
    size = sum(path.stat().st_size for path in streams.glob("hls_0*.ts"))
    error = failure(bench, f"{site.url}/master.m3u8", format="BestVideo", maxBytes=size // 2)
    assert (error.exit_code, error.reason) == (65, Reason.TOO_LARGE)
    assert sum(path.stat().st_size for path in bench.work.rglob("*") if path.is_file()) <= size


@pytest.mark.parametrize("manifest", ["master.m3u8", "hls_2.m3u8", "manifest.mpd"])
def test_a_stream_that_plays_too_long_is_refused_before_its_first_segment(
    bench: Bench, site: Web, manifest: str
) -> None:
    error = failure(bench, f"{site.url}/{manifest}", maxDurationSeconds=5)
    assert (error.exit_code, error.reason) == (65, Reason.TOO_LONG)
    assert not [path for path, _ in site.asked if path.endswith((".ts", ".m4s"))]


def test_thumbnail_info_and_subtitles_are_outputs_of_their_own(bench: Bench, site: Web, sounds: Path) -> None:
    picture = (sounds / "picture.png").read_bytes()
    site.serve("/cover.png", picture, Content_Type="image/svg+xml")
    url = page(site, "manifest.mpd", "thumbnailUrl", f"{site.url}/cover.png")
    result = bench.run(Task.DOWNLOAD, url, thumbnail=True, info=True, subtitles=["en"], container="m4a")
    assert [output.name for output in result.outputs] == ["source", "info", "thumbnail"]
    assert result.outputs[2].path.read_bytes() == picture
    assert result.outputs[2].media_type == "image/png"
    told = json.loads(result.outputs[1].path.read_text())
    assert told["title"] == "A Song"
    assert told["uploadDate"] == "20260102"
    assert len(told["formats"]) >= 3
    assert any("subtitles in en" in warning for warning in result.metadata["warnings"])
    # The picture is the file's cover, too.
    assert [codec for kind, codec, _ in kinds(result) if kind == "video"] == ["mjpeg"]


def test_subtitles_of_a_stream(bench: Bench, site: Web, streams: Path) -> None:
    site.serve("/en.vtt", b"WEBVTT\n\n00:00.000 --> 00:02.000\nHello\n", Content_Type="text/vtt")
    listed = "#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:8,\n/en.vtt\n#EXT-X-ENDLIST\n"
    site.serve("/subs.m3u8", listed.encode(), Content_Type=TYPES[".m3u8"])
    master = (streams / "master.m3u8").read_text()
    master += '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="/subs.m3u8"\n'
    site.serve("/with-subs.m3u8", master.encode(), Content_Type=TYPES[".m3u8"])
    result = bench.run(Task.DOWNLOAD, f"{site.url}/with-subs.m3u8", subtitles=["en", "de"])
    assert [output.name for output in result.outputs] == ["source", "subtitles-en"]
    assert "Hello" in result.outputs[1].path.read_text()
    assert result.metadata["warnings"][-1] == "The subtitles in de could not be downloaded: the source has none."


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="a drawing that may lead elsewhere"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(25_000_000), id="a picture without end"),
    ],
)
def test_a_bad_thumbnail_is_left_out_and_told(bench: Bench, site: Web, picture: bytes) -> None:
    site.serve("/cover", picture, Content_Type="image/png")
    url = page(site, "manifest.mpd", "thumbnailUrl", f"{site.url}/cover")
    result = bench.run(Task.DOWNLOAD, url, thumbnail=True)
    assert [output.name for output in result.outputs] == ["source"]
    assert any("thumbnail" in warning for warning in result.metadata["warnings"])


def test_B16_a_thumbnail_inside_the_network_is_not_asked_for(bench: Bench, site: Web, canary: Web) -> None:  # noqa: N802
    url = page(site, "manifest.mpd", "thumbnailUrl", f"{canary.url}/cover.png")
    result = bench.run(Task.DOWNLOAD, url, thumbnail=True)
    assert "private" in result.metadata["warnings"][-1]


def test_addresses_that_the_site_itself_refuses_are_asked_for_once_more(bench: Bench, web: Web, sounds: Path) -> None:
    """The address of the sound holds for one look at the page, as on large sites."""
    song = (sounds / "tone.mp3").read_bytes()
    looks: list[int] = []

    def show(handler: Handler) -> None:
        looks.append(1)
        token = len(looks)
        if token == 4:
            web.serve("/tone-4.mp3", song, Content_Type="audio/mpeg")
        text = f"<html><head><title>x</title></head><body><audio src='/tone-{token}.mp3'></audio></body></html>"
        handler.answer(200, text.encode(), Content_Type="text/html")

    web.routes["/page"] = show
    for number in range(1, 4):
        web.serve(f"/tone-{number}.mp3", b"expired", 403)
    error = failure(bench, f"{web.url}/page")
    assert (error.exit_code, error.reason) == (75, Reason.EXTRACTOR_OUTDATED)
    assert len([path for path, _ in web.asked if path.startswith("/tone")]) >= 2


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)
    body = bytes(range(256)) * 4_000
    web.routes["/a.mp3"] = ranged(body, len(body) // 3)
    result = bench.run(Task.DOWNLOAD, f"{web.url}/a.mp3")
    assert result.outputs[0].path.read_bytes() == body
    asked = [headers.get("Range") for _, headers in web.asked]
    assert asked == [None, *(f"bytes={len(body) // 3 * n}-" for n in (1, 2, 3))]
    assert_one_percentage_of_few(bench)


def test_a_file_that_changes_meanwhile_is_begun_again(bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plainhttp, "RESUME_SECONDS", 0.001)
    old, new = b"a" * 100_000, b"b" * 100_000

    def answer(handler: Handler) -> None:
        first = len(web.asked) == 1
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("ETag", '"old"' if first else '"new"')
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(old[:50_000] if first else new)
        handler.close_connection = True

    web.routes["/a.mp3"] = answer
    assert bench.run(Task.DOWNLOAD, f"{web.url}/a.mp3").outputs[0].path.read_bytes() == new


def test_yt_dlp_goes_on_where_a_page_s_song_broke_off(bench: Bench, web: Web) -> None:
    body = bytes(range(256)) * 4_000
    web.routes["/tone.mp3"] = ranged(body, len(body) // 2)
    text = "<html><head><title>x</title></head><body><audio src='/tone.mp3'></audio></body></html>"
    result = bench.run(Task.DOWNLOAD, web.serve("/page", text.encode(), Content_Type="text/html"))
    assert result.outputs[0].path.read_bytes() == body
    assert any((headers.get("Range") or "bytes=0-") != "bytes=0-" for _, headers in web.asked)


def test_the_time_by_the_clock_ends_whatever_is_going_on(bench: Bench, web: Web) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(100_000))

    web.routes["/a.mp3"] = answer
    error = failure(bench, f"{web.url}/a.mp3", timeoutSeconds=1)
    assert (error.exit_code, error.reason) == (75, Reason.TOO_SLOW)
    assert "within 1 seconds" in error.message


def test_B20_a_page_that_trickles_is_given_up(bench: Bench, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    monkeypatch.setattr(rates, "STALL_SECONDS", 0.5)
    web.routes["/page"] = lambda handler: drip(handler, 20)
    web.serve("/show", b"<html><body><audio src='/page'></audio></body></html>", Content_Type="text/html")
    error = failure(bench, f"{web.url}/show")
    assert (error.exit_code, error.reason) == (75, Reason.TOO_SLOW)
