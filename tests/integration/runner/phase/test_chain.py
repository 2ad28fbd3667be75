"""Download, Normalize and Separate one after the other, as the operator chains them: each by its own process."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.pods import PodFolder, Running
from tests.integration.runner.stores import StoreFolder

from audiojob_types.contract import ExitCode, Manifest

pytestmark = pytest.mark.integration

SAMPLES = 3 * 44_100 + 17


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a server with ``song.wav``, two tones of a little over 3 seconds, and ``film.mp4``, silent."""
    folder = tmp_path / "site"
    folder.mkdir()
    time = np.arange(SAMPLES) / 44_100
    tones = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)], axis=1) * 0.3
    soundfile.write(folder / "song.wav", tones, 44_100, subtype="PCM_16")
    film = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x64:d=1", str(folder / "film.mp4")]
    subprocess.run(film, check=True, timeout=60)
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Chain:
    """Phases of one job on one store."""

    def __init__(self, pod: PodFolder, store: StoreFolder) -> None:
        self._pod = pod
        self._store = store

    def start(self, phase: str, task: str, inputs: list[dict[str, Any]], parameters: dict[str, Any]) -> Running:
        """Start a phase."""
        self._pod.write_phase(
            task,
            parameters,
            phase=phase,
            inputs=inputs,
            outputPrefix=f"demo/5f1e0000-0000-4000-8000-00000000000a/{phase}",
            network={"allowedCidrs": ["127.0.0.0/8:*"]},
        )
        return self._pod.start()

    def run(
        self, phase: str, task: str, inputs: list[dict[str, Any]], parameters: dict[str, Any]
    ) -> tuple[Manifest, dict[str, Any]]:
        """Run a phase that must succeed; its manifest and the reference to it."""
        ended = self.start(phase, task, inputs, parameters).wait(100)
        assert ended.code == ExitCode.OK, ended.stderr
        ref = ended.result.manifest
        assert ref is not None
        manifest = self._store.manifest(ref.key)
        told = [output.metadata.get("durationSeconds") for output in manifest.outputs]
        expected = [None if seconds is None else round(seconds * 1000) for seconds in told]
        assert [output.duration_milliseconds for output in ended.result.outputs] == expected
        return manifest, ref.to_wire()

    def file(self, ref: dict[str, Any], name: str) -> Path:
        """A published file."""
        folder = str(ref["key"]).rpartition("/")[0]
        return self._store.root / folder / name


@pytest.mark.timeout(300)
def test_a_song_from_the_web_becomes_stems_as_long_as_itself(pod: PodFolder, store: StoreFolder, site: str) -> None:
    chain = Chain(pod, store)

    _, downloaded = chain.run("download", "Download", [{"name": "source", "url": f"{site}/song.wav"}], {})
    whole, normalized = chain.run(
        "normalize", "Normalize", [{"name": "source", "manifest": downloaded, "output": "source"}], {}
    )
    assert [output.metadata["durationSeconds"] for output in whole.outputs] == [round(SAMPLES / 44_100, 6)]
    manifest, separated = chain.run(
        "separate",
        "Separate",
        [{"name": "audio", "manifest": normalized, "output": "audio"}],
        {"model": "demucs_unittest", "stems": "FourStems", "format": "flac"},
    )

    assert sorted(output.name for output in manifest.outputs) == ["bass", "drums", "other", "vocals"]
    assert manifest.metadata["untrained"] is True
    for output in manifest.outputs:
        info = soundfile.info(chain.file(separated, output.file))
        assert (info.frames, info.samplerate, info.channels) == (SAMPLES, 44_100, 2)


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        pytest.param("absent.wav", None, ("download", 66, "SourceUnavailable"), id="an address that answers 404"),
        pytest.param("text.mp3", b"once upon a time\n" * 100, ("download", 65, "NotMedia"), id="a text named .mp3"),
        pytest.param("empty.mp3", b"", ("download", 65, "NotMedia"), id="an empty file"),
        pytest.param("film.mp4", None, ("normalize", 65, "EmptyMedia"), id="a film without sound"),
    ],
)
def test_a_bad_source_ends_in_its_phase_with_its_reason(
    folder_pod: PodFolder,
    folder_store: StoreFolder,
    site: str,
    path: str,
    content: bytes | None,
    expected: tuple[str, int, str],
) -> None:
    phase, code, reason = expected
    if content is not None:
        (folder_store.root.parent / "site" / path).write_bytes(content)
    chain = Chain(folder_pod, folder_store)
    source: list[dict[str, Any]] = [{"name": "source", "url": f"{site}/{path}"}]
    if phase == "normalize":
        _, ref = chain.run("download", "Download", source, {})
        source = [{"name": "source", "manifest": ref, "output": "source"}]

    ended = chain.start(phase, phase.capitalize(), source, {}).wait()

    assert (ended.code, ended.result.reason) == (code, reason), ended.stderr
    assert ended.result.suggestion
    assert not any(f"/{phase}/" in key for key in folder_store.published())


def test_tags_of_what_was_downloaded_name_it_in_the_library(
    folder_pod: PodFolder, folder_store: StoreFolder, site: str, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    tagged = ["-metadata", "title=Blue", "-metadata", "artist=A Band", "-metadata", "album=Sky", "tagged.flac"]
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", "song.wav", *tagged]
    subprocess.run(command, cwd=tmp_path / "site", check=True, timeout=60)
    _, ref = Chain(folder_pod, folder_store).run(
        "download", "Download", [{"name": "source", "url": f"{site}/tagged.flac"}], {}
    )
    given = {"manifest": ref, "output": "source"}
    folder_pod.write_phase(
        "Publish",
        inputs=[{"name": "source", **given}, {"name": "about", "about": True, **given}],
        libraries=[{"name": "nas", "store": {"kind": "Folder", "root": str(shelf)}}],
        destination={"library": "nas", "layout": "ArtistAlbum"},
    )

    ended = folder_pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert [str(path.relative_to(shelf)) for path in shelf.rglob("*.flac")] == ["A Band/Sky/Blue.flac"]


def test_a_private_address_is_blocked_unless_the_administrator_allows_it(
    folder_pod: PodFolder, folder_store: StoreFolder, site: str
) -> None:
    folder_pod.write_phase("Download", inputs=[{"name": "source", "url": f"{site}/song.wav"}])

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.BLOCKED_ADDRESS, "BlockedAddress"), ended.stderr
    assert folder_store.published() == []


def test_a_model_that_is_not_there_is_never_replaced_by_another(
    folder_pod: PodFolder, folder_store: StoreFolder, site: str
) -> None:
    chain = Chain(folder_pod, folder_store)
    _, downloaded = chain.run("download", "Download", [{"name": "source", "url": f"{site}/song.wav"}], {})
    source = [{"name": "source", "manifest": downloaded, "output": "source"}]
    _, normalized = chain.run("normalize", "Normalize", source, {})

    audio = [{"name": "audio", "manifest": normalized, "output": "audio"}]
    ended = chain.start("separate", "Separate", audio, {"model": "htdemucs"}).wait(100)

    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "ModelMissing"), ended.stderr
