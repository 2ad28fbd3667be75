"""How long files are: by what is decoded, and not by what a header of a stream or an estimate says."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.media.test_transcode import make

from audiojob_runner.errors import PhaseError
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

RATE = 44_100


def with_data_size(folder: Path, size: int, seconds: float = 0.5) -> Path:
    """A WAV file whose header says that its sound has ``size`` bytes."""
    path = folder / f"{size:x}.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(round(RATE * seconds)) * 0.05), RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0x7FFF_0024, 0x8000_0000, 0xFFFF_FFFF], ids=hex)
def test_a_wav_that_was_piped_is_as_long_as_its_sound(bench: Bench, tmp_path: Path, size: int) -> None:
    source = with_data_size(tmp_path, size)
    assert bench.run(Task.NORMALIZE, source).outputs[0].metadata["samples"] == RATE // 2
    assert bench.run(Task.TRANSCODE, source, format="flac").outputs[0].metadata["durationSeconds"] == 0.5


@pytest.mark.parametrize("coding", ["adpcm_ms", "adpcm_ima_wav"])
def test_the_padding_of_a_wav_s_last_block_is_not_played(bench: Bench, tmp_path: Path, coding: str) -> None:
    tone = "sine=f=440:r=44100,atrim=end_sample=21050"
    source = make(tmp_path, "blocks.wav", "-f", "lavfi", "-i", tone, "-c:a", coding)
    content = bytearray(source.read_bytes())
    at = content.index(b"fact")
    content[at + 8 : at + 12] = struct.pack("<I", 21_050)  # ffmpeg counts the padding too
    source.write_bytes(content)
    assert bench.run(Task.NORMALIZE, source).outputs[0].metadata["samples"] == 21_050


def test_an_mp3_whose_length_is_only_estimated_is_measured(bench: Bench, tmp_path: Path) -> None:
    """Its silent beginning has few bits: by them it would play much longer."""
    sound = "aevalsrc='if(lt(t,2),0,random(0)-0.5)':s=44100:d=8"
    source = make(
        tmp_path, "vbr.mp3", "-f", "lavfi", "-i", sound, "-c:a", "libmp3lame", "-q:a", "0", "-write_xing", "0"
    )
    (output,) = bench.run(Task.NORMALIZE, source, maxDurationSeconds=9).outputs
    assert output.metadata["durationSeconds"] == pytest.approx(8, abs=0.1)
    (output,) = bench.run(Task.TRANSCODE, source, format="flac", maxDurationSeconds=9).outputs
    assert output.metadata["durationSeconds"] == pytest.approx(8, abs=0.1)
    for task, more in ((Task.NORMALIZE, {}), (Task.TRANSCODE, {"format": "flac"})):
        with pytest.raises(PhaseError) as caught:
            bench.run(task, source, maxDurationSeconds=5, **more)
        assert caught.value.reason is Reason.TOO_LONG


@pytest.mark.parametrize("coding", ["flac", "alac", "pcm_s24be", "pcm_f32be"])
def test_what_is_finer_than_16_bits_stays_so_whatever_its_coding(bench: Bench, tmp_path: Path, coding: str) -> None:
    name = {"flac": "fine.flac", "alac": "fine.m4a", "pcm_s24be": "fine.aiff", "pcm_f32be": "fine.aiff"}[coding]
    sound = ["-f", "lavfi", "-i", "aevalsrc=0.0001*sin(2764*t):s=44100:d=0.2", "-c:a", coding]
    form = [] if coding.startswith("pcm") else ["-sample_fmt", "s32p" if coding == "alac" else "s32"]
    source = make(tmp_path, name, *sound, *form)
    (output,) = bench.run(Task.TRANSCODE, source, format="wav").outputs
    assert soundfile.info(output.path).subtype == "PCM_24"


@pytest.mark.parametrize(
    ("name", "codings"),
    [
        pytest.param("late.mkv", ("mpeg4", "flac"), id="mkv"),
        pytest.param("late.webm", ("libvpx", "libopus"), id="webm"),
        pytest.param("late.mp4", ("libx264", "aac"), id="mp4"),
    ],
)
def test_sound_that_starts_late_has_silence_before_it(
    bench: Bench, tmp_path: Path, name: str, codings: tuple[str, str]
) -> None:
    shown = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=3"]
    heard = ["-itsoffset", "1", "-f", "lavfi", "-i", "sine=f=440:r=48000:d=2"]
    source = make(tmp_path, name, *shown, *heard, "-c:v", codings[0], "-c:a", codings[1])
    for task, parameters in ((Task.NORMALIZE, {}), (Task.TRANSCODE, {"format": "flac"})):
        (output,) = bench.run(task, source, **parameters).outputs
        sound, rate = soundfile.read(output.path, always_2d=True)
        assert len(sound) / rate == pytest.approx(3, abs=0.05)
        assert np.abs(sound[: round(0.95 * rate)]).max() < 0.001
        assert np.abs(sound[round(1.05 * rate) : round(1.2 * rate)]).max() > 0.05


def test_sound_alone_that_starts_late_is_no_damage(bench: Bench, tmp_path: Path) -> None:
    source = make(tmp_path, "late.mka", "-itsoffset", "60", "-f", "lavfi", "-i", "sine=f=440:d=2", "-c:a", "flac")
    (output,) = bench.run(Task.NORMALIZE, source).outputs
    assert output.metadata["durationSeconds"] == pytest.approx(2, abs=0.01)


SAMPLES = 132_266  # no whole number of frames, milliseconds or packets
AAC, LAME, OPUS = ("-c:a", "aac"), ("-c:a", "libmp3lame"), ("-ar", "48000", "-c:a", "libopus")
FILM = ("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=4", "-map", "1", "-map", "0", "-c:v", "libx264")


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        pytest.param("a.m4a", AAC, id="AAC in m4a"),
        pytest.param("a.m4a", ("-c:a", "alac"), id="ALAC in m4a"),
        pytest.param("a.mov", LAME, id="MP3 in mov"),
        pytest.param("a.mp4", OPUS, id="Opus in mp4"),
        pytest.param("a.mp4", (*FILM, *AAC), id="AAC beside a longer film"),
        pytest.param(
            "a.mp4", (*FILM, *AAC, "-movflags", "frag_keyframe+delay_moov", "-g", "25"), id="a film in fragments"
        ),
        pytest.param("a.mp3", LAME, id="MP3 with LAME's header"),
        pytest.param("a.opus", OPUS, id="Opus"),
        pytest.param("a.webm", OPUS, id="Opus in webm"),
        pytest.param("a.ogg", ("-c:a", "libvorbis"), id="Vorbis"),
        pytest.param("a.flac", (), id="FLAC"),
        pytest.param("a.mka", ("-c:a", "flac"), id="FLAC in Matroska"),
    ],
)
def test_a_coding_s_padding_is_not_played(bench: Bench, tmp_path: Path, name: str, coding: tuple[str, ...]) -> None:
    sound = ("-f", "lavfi", "-i", f"sine=f=440:r={RATE},atrim=end_sample={SAMPLES}")
    source = make(tmp_path, name, *sound, *coding)
    (output,) = bench.run(Task.NORMALIZE, source).outputs
    assert output.metadata["samples"] == pytest.approx(SAMPLES, abs=1)  # one more where the rate was changed
    for form in ("m4a", "mp3", "opus"):
        (coded,) = bench.run(Task.TRANSCODE, source, format=form).outputs
        assert coded.metadata["durationSeconds"] == pytest.approx(SAMPLES / RATE, abs=0.0006)
        (output,) = bench.run(Task.NORMALIZE, coded.path).outputs
        assert output.metadata["samples"] == pytest.approx(SAMPLES, abs=2)


def with_apples_tag(path: Path, samples: int) -> Path:
    """With the note that iTunes leaves, of an AAC file whose film is behind its sound."""
    value = f" 00000000 00000400 000001CA {samples:016X} 00000000".encode()

    def atom(name: bytes, *inside: bytes) -> bytes:
        return struct.pack(">I4s", 8 + sum(map(len, inside)), name) + b"".join(inside)

    tag = atom(b"----", atom(b"mean", bytes(4), b"com.apple.iTunes"), atom(b"name", bytes(4), b"iTunSMPB"),
               atom(b"data", bytes([0, 0, 0, 1, 0, 0, 0, 0]), value))  # fmt: skip
    handler = atom(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    added = atom(b"udta", atom(b"meta", bytes(4), handler, atom(b"ilst", tag)))
    content = path.read_bytes()
    at = content.rindex(b"moov") - 4
    film = bytearray(content[at:]).replace(b"udta", b"free")
    film[:4] = (len(film) + len(added)).to_bytes(4, "big")
    path.write_bytes(content[:at] + film + added)
    return path


def test_apples_tag_says_what_is_played_where_no_edit_list_does(bench: Bench, tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", f"sine=f=440:r={RATE},atrim=end_sample={SAMPLES}")
    source = with_apples_tag(make(tmp_path, "a.m4a", *sound, *AAC, "-use_editlist", "0"), SAMPLES)
    (output,) = bench.run(Task.NORMALIZE, source).outputs
    assert output.metadata["samples"] == SAMPLES
    sound, _ = soundfile.read(output.path)
    assert np.abs(sound[100:500]).max() > 0.05  # and what leads in to the sound is left out


@pytest.mark.parametrize("task", [Task.NORMALIZE, Task.TRANSCODE])
@pytest.mark.parametrize("size", [2, 1_000, RATE // 2], ids=lambda size: f"{size} bytes")
def test_a_wav_whose_sound_goes_on_behind_its_end_is_read_to_its_own(
    bench: Bench, tmp_path: Path, task: Task, size: int
) -> None:
    result = bench.run(task, with_data_size(tmp_path, size), **({} if task is Task.NORMALIZE else {"format": "flac"}))
    assert result.outputs[0].metadata["durationSeconds"] == 0.5
    assert result.metadata["warnings"] == [
        "The source's header names an end before its sound ends: what follows was read too."
    ]


def test_gaps_in_sound_are_silence_of_their_length(bench: Bench, tmp_path: Path) -> None:
    """A recording that stopped for a while, in a container that says when each piece plays."""
    tone = ["-f", "lavfi", "-i", f"sine=f=440:r={RATE}:d=3", "-af", "aselect='not(between(t,1,2))'", "-c:a", "flac"]
    (output,) = bench.run(Task.NORMALIZE, make(tmp_path, "gap.mkv", *tone)).outputs
    sound, _ = soundfile.read(output.path)
    assert len(sound) / RATE == pytest.approx(3, abs=0.06)
    assert np.abs(sound[round(1.1 * RATE) : round(1.9 * RATE)]).max() < 0.001
    assert np.abs(sound[round(2.2 * RATE) :]).max() > 0.05


def test_sound_of_a_broadcast_that_starts_late_has_silence_before_it(bench: Bench, tmp_path: Path) -> None:
    shown = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=3"]
    heard = ["-itsoffset", "1", "-f", "lavfi", "-i", f"sine=f=440:r={RATE}:d=2"]
    source = make(tmp_path, "late.ts", *shown, *heard, "-c:v", "mpeg2video", "-c:a", "mp2")
    for task, parameters in ((Task.NORMALIZE, {}), (Task.TRANSCODE, {"format": "flac"})):
        (output,) = bench.run(task, source, **parameters).outputs
        sound, rate = soundfile.read(output.path, always_2d=True)
        assert len(sound) / rate == pytest.approx(3, abs=0.06)
        assert np.abs(sound[: round(0.9 * rate)]).max() < 0.001


def test_sound_that_starts_late_gets_its_silence_once_where_the_layout_changes(bench: Bench, tmp_path: Path) -> None:
    """ffmpeg makes the filters anew at the change, and each of them put silence before what it saw first."""
    shown = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=3"]
    heard = ["-itsoffset", "1", "-f", "lavfi", "-i", f"sine=f=440:r={RATE}:d=2"]
    parts = [
        make(tmp_path, f"{channels}.ts", *shown, *heard, "-ac", channels, "-c:v", "mpeg2video", "-c:a", "mp2")
        for channels in ("1", "2")
    ]
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    (output,) = bench.run(Task.NORMALIZE, whole).outputs
    sound, _ = soundfile.read(output.path)
    assert 5 - 0.1 < len(sound) / RATE < 6 + 0.1  # the second part's film may be counted
    assert np.abs(sound[: round(0.9 * RATE)]).max() < 0.001
    assert np.abs(sound[round(1.1 * RATE) : round(2.9 * RATE)]).max() > 0.05
    assert np.abs(sound[-round(1.8 * RATE) :]).max() > 0.05
