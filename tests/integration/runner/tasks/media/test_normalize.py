"""Normalize on real files with the real ffmpeg, and on every kind of file that is not what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import PhaseLimits
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

RATE = 44_100


@pytest.mark.parametrize(
    ("name", "slack"),
    [
        ("tone.wav", 0.0), ("mono8k.wav", 0.001), ("tone.flac", 0.0), ("tone.mp3", 0.06), ("tone.ogg", 0.03),
        ("tone.opus", 0.03), ("tone.m4a", 0.06), ("surround.wav", 0.0), ("surround.flac", 0.0), ("film.mp4", 0.06),
        ("film.mkv", 0.06), ("film.webm", 0.06),
    ],
)  # fmt: skip
def test_real_files_become_the_same_form(bench: Bench, sounds: Path, name: str, slack: float) -> None:
    result = bench.run(Task.NORMALIZE, sounds / name, maxDurationSeconds=10)
    (output,) = result.outputs
    info = soundfile.info(output.path)
    assert (output.name, output.path.name, output.media_type) == ("audio", "audio.wav", "audio/wav")
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", RATE, 2)
    assert abs(info.frames / RATE - 4) <= slack
    assert output.metadata == {
        "durationSeconds": round(info.frames / RATE, 6),
        "samples": info.frames,
        "sampleRate": RATE,
        "channels": 2,
    }
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_what_is_already_right_is_kept_bit_by_bit(bench: Bench, sounds: Path) -> None:
    (output,) = bench.run(Task.NORMALIZE, sounds / "tone.wav").outputs
    before, _ = soundfile.read(sounds / "tone.wav", dtype="int16")
    after, _ = soundfile.read(output.path, dtype="int16")
    assert np.array_equal(before, after)


def test_one_channel_keeps_its_level_on_both_sides(bench: Bench, tmp_path: Path) -> None:
    sound = np.sin(np.arange(RATE) * 0.05).astype(np.float32) * 0.5
    soundfile.write(tmp_path / "mono.wav", sound, RATE, subtype="PCM_16")
    (output,) = bench.run(Task.NORMALIZE, tmp_path / "mono.wav").outputs
    after, _ = soundfile.read(output.path)
    assert np.abs(after[:, 0] - sound).max() < 1e-3
    assert np.array_equal(after[:, 0], after[:, 1])


def test_the_same_file_gives_the_same_bytes(bench: Bench, sounds: Path) -> None:
    first = bench.run(Task.NORMALIZE, sounds / "tone.mp3").outputs[0].path.read_bytes()
    assert bench.run(Task.NORMALIZE, sounds / "tone.mp3").outputs[0].path.read_bytes() == first


def test_names_are_never_options_or_addresses(bench: Bench, sounds: Path, tmp_path: Path) -> None:
    for name in ("-i", "concat:a|b", "pipe:0", "a'b\"c $(id).mp3", "%d.mp3"):
        odd = tmp_path / name
        shutil.copy(sounds / "tone.mp3", odd)
        assert bench.run(Task.NORMALIZE, odd).outputs[0].metadata["samples"] > 3 * RATE


def children() -> list[str]:
    """Command names of this process' living children."""
    names = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(fields.split()[1]) == os.getpid():
            names.append(name)
    return names


def write(content: bytes) -> Callable[[Path, Path], None]:
    def make(target: Path, _: Path) -> None:
        target.write_bytes(content)

    return make


def cut(name: str, share: float) -> Callable[[Path, Path], None]:
    def make(target: Path, sounds: Path) -> None:
        content = (sounds / name).read_bytes()
        target.write_bytes(content[: int(len(content) * share)])

    return make


def copy(name: str) -> Callable[[Path, Path], None]:
    def make(target: Path, sounds: Path) -> None:
        shutil.copy(sounds / name, target)

    return make


def scramble(name: str) -> Callable[[Path, Path], None]:
    """The head stays; every following byte is noise."""

    def make(target: Path, sounds: Path) -> None:
        content = (sounds / name).read_bytes()
        noise = np.random.default_rng(7).bytes(len(content))
        target.write_bytes(content[:200] + noise[200:])

    return make


def samples(number: int) -> Callable[[Path, Path], None]:
    return lambda target, _: soundfile.write(target, np.zeros((number, 2)), RATE, format="WAV")


def channels(number: int) -> Callable[[Path, Path], None]:
    return lambda target, _: soundfile.write(target, np.zeros((100, number)), RATE, format="WAV")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>'
SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n"
BAD = [
    ("an empty file", write(b""), Reason.NOT_MEDIA),
    ("one byte", write(b"\0"), Reason.NOT_MEDIA),
    ("a text", write(b"hello world\n" * 100), Reason.NOT_MEDIA),
    ("a web page", write(b"<!doctype html><html><body>" + b"x" * 5_000), Reason.NOT_MEDIA),
    ("a zip file", write(b"PK\x03\x04" + bytes(5_000)), Reason.NOT_MEDIA),
    ("a PDF", write(b"%PDF-1.7\n" + b"1 0 obj\n" * 500), Reason.NOT_MEDIA),
    ("a program", write(b"\x7fELF" + bytes(range(256)) * 20), Reason.NOT_MEDIA),
    ("a drawing that links", write(SVG), Reason.NOT_MEDIA),
    ("a session description", write(SDP), Reason.NOT_MEDIA),
    ("a picture", copy("picture.png"), Reason.NOT_MEDIA),
    ("a container that is not supported", copy("film.avi"), Reason.NOT_MEDIA),
    ("a film without sound", copy("silent.mp4"), Reason.EMPTY_MEDIA),
    ("a WAV of 0 seconds", samples(0), Reason.EMPTY_MEDIA),
    ("64 channels", channels(64), Reason.NOT_MEDIA),
    ("a WAV cut in half", cut("tone.wav", 0.5), Reason.CORRUPT_MEDIA),
    ("a FLAC cut in half", cut("tone.flac", 0.5), Reason.CORRUPT_MEDIA),
    ("an MP4 cut before its index", cut("film.mp4", 0.5), Reason.CORRUPT_MEDIA),
    ("an M4A cut after its index", cut("tone.m4a", 0.5), Reason.CORRUPT_MEDIA),
    ("a Matroska cut in half", cut("film.mkv", 0.5), Reason.CORRUPT_MEDIA),
    ("a WAV header alone", cut("tone.wav", 0.00003), Reason.CORRUPT_MEDIA),
    ("a FLAC of noise", scramble("tone.flac"), Reason.CORRUPT_MEDIA),
    ("an Ogg of noise", scramble("tone.ogg"), Reason.CORRUPT_MEDIA),
    ("a Matroska of noise", scramble("film.mkv"), Reason.CORRUPT_MEDIA),
]  # fmt: skip


@pytest.mark.parametrize(("make", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
@pytest.mark.parametrize("suffix", [".mp3", ""])
def test_what_is_no_sound_is_refused(
    bench: Bench, sounds: Path, tmp_path: Path, make: Callable[[Path, Path], None], reason: Reason, suffix: str
) -> None:
    source = tmp_path / f"source{suffix}"
    make(source, sounds)
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, source)
    assert (caught.value.exit_code, caught.value.reason) == (65, reason)
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("foreign", ["tone.mp3", "tone.flac", "tone.m4a", "film.mp4", "tone.wav"])
@pytest.mark.parametrize("suffix", [".mp3", ".m3u8", ".mp4", ""])
@pytest.mark.parametrize("form", ["hls", "hls-relative", "ffconcat", "dash", "xspf"])
def test_a_list_of_other_files_opens_none_of_them(
    bench: Bench, sounds: Path, tmp_path: Path, foreign: str, suffix: str, form: str
) -> None:
    other = tmp_path / foreign
    shutil.copy(sounds / foreign, other)
    texts = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "hls-relative": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{foreign}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile {foreign}\n",
        "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period>"
        f"<AdaptationSet><Representation><BaseURL>{foreign}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "xspf": f"<?xml version='1.0'?><playlist><trackList><track><location>{foreign}</location></track>"
        "</trackList></playlist>",
    }
    source = tmp_path / f"source{suffix}"
    source.write_text(texts[form])
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, source)
    assert caught.value.reason is Reason.NOT_MEDIA
    assert list(bench.work.iterdir()) == []


def test_the_lists_above_do_open_other_files_without_our_guards(sounds: Path, tmp_path: Path) -> None:
    """Otherwise the test before this one would prove nothing."""
    shutil.copy(sounds / "tone.mp3", tmp_path / "other.mp3")
    source = tmp_path / "source.mp3"
    source.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{tmp_path}/other.mp3\n#EXT-X-ENDLIST\n")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(source), str(tmp_path / "stolen.wav")]
    subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert soundfile.info(tmp_path / "stolen.wav").frames > 3 * RATE


@pytest.mark.parametrize("number", [1, 2, 100])
def test_a_few_samples_are_enough(bench: Bench, tmp_path: Path, number: int) -> None:
    soundfile.write(tmp_path / "short.wav", np.full((number, 2), 0.5), RATE)
    assert bench.run(Task.NORMALIZE, tmp_path / "short.wav").outputs[0].metadata["samples"] == number


def test_a_file_that_says_it_is_too_long_is_refused_before_it_is_decoded(bench: Bench, sounds: Path) -> None:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, sounds / "tone.flac", maxDurationSeconds=3)
    assert (caught.value.exit_code, caught.value.reason) == (65, Reason.TOO_LONG)
    assert list(bench.work.iterdir()) == []


def test_a_file_that_does_not_say_its_length_is_cut_off_and_refused(bench: Bench, sounds: Path, tmp_path: Path) -> None:
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-i",
        str(sounds / "tone.wav"),
        "-f",
        "matroska",
        "-c:a",
        "flac",
        "pipe:1",
    ]
    piped = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    (tmp_path / "endless.mkv").write_bytes(piped)
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, tmp_path / "endless.mkv", maxDurationSeconds=2)
    assert caught.value.reason is Reason.TOO_LONG
    assert soundfile.info(bench.work / "audio.wav").duration <= 3


def test_the_phases_limit_of_length_counts_too(bench: Bench, sounds: Path) -> None:
    bench.limits = PhaseLimits(max_duration_seconds=3)
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, sounds / "tone.flac")
    assert caught.value.reason is Reason.TOO_LONG


def test_a_full_disk_is_told_as_such(bench: Bench, sounds: Path) -> None:
    """/dev/full fails each write as a full disk does."""

    def fill() -> None:
        target = bench.work / "audio.wav"
        if not target.is_symlink():
            target.symlink_to("/dev/full")

    bench.on_progress = fill
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, sounds / "tone.mp3")
    assert (caught.value.exit_code, caught.value.reason) == (78, Reason.DISK_FULL)


def test_cancelling_ends_ffmpeg(bench: Bench, sounds: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.flac"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "anullsrc=d=3600", str(long)]
    subprocess.run(command, check=True, timeout=110)
    bench.on_progress = bench.cancelled.set
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.NORMALIZE, long)
    assert (caught.value.exit_code, caught.value.reason) == (143, Reason.STOPPED)
    assert not [name for name in children() if "ffmpeg" in name]


def test_without_ffmpeg_the_error_says_so(bench: Bench, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PhaseError, match="ffmpeg is not installed"):
        bench.run(Task.NORMALIZE, sounds / "tone.mp3")
