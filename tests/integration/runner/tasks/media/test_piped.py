"""Files that a program wrote to a pipe, and could not go back to fill in lengths; and files that were cut off."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.media import hostile

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskResult
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

SAMPLES = 22_050
TONE = ("-f", "lavfi", "-i", f"sine=f=440:r=44100,atrim=end_sample={SAMPLES}")


def piped(folder: Path, name: str, *arguments: str) -> Path:
    command = ["ffmpeg", "-v", "error", "-nostdin", *TONE, *arguments, "pipe:1"]
    path = folder / name
    path.write_bytes(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return path


def results(bench: Bench, source: Path) -> tuple[TaskResult, TaskResult]:
    return bench.run(Task.NORMALIZE, source), bench.run(Task.TRANSCODE, source, format="flac")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.w64", ("-f", "w64")),
        ("a.aiff", ("-f", "aiff")),
        ("a.aiff", ("-f", "aiff", "-c:a", "pcm_s16le")),
        ("a.wav", ("-f", "wav", "-rf64", "always")),
        ("a.caf", ("-f", "caf")),
        ("a.flac", ("-f", "flac")),
        ("a.au", ("-f", "au")),
    ],
    ids=["W64", "AIFF", "AIFF-C", "RF64", "CAF", "FLAC", "AU"],
)
def test_what_was_piped_is_as_long_as_its_sound(
    bench: Bench, tmp_path: Path, name: str, arguments: tuple[str, ...]
) -> None:
    source = piped(tmp_path, name, *arguments)
    before = source.read_bytes()
    normalized, transcoded = results(bench, source)
    assert normalized.outputs[0].metadata["samples"] == SAMPLES
    assert "warnings" not in normalized.metadata
    assert transcoded.outputs[0].metadata["durationSeconds"] == 0.5
    assert transcoded.metadata["warnings"] == []
    assert [path.name for path in bench.work.iterdir()] == [transcoded.outputs[0].path.name]
    assert source.read_bytes() == before


@pytest.mark.parametrize("total", [2**31 - 1, 2**32 - 1, 2**36 - 1], ids=hex)
def test_the_largest_total_of_a_flac_is_no_promise(bench: Bench, tmp_path: Path, total: int) -> None:
    source = hostile.ffmpeg(tmp_path, "a.flac", *TONE)
    content = bytearray(source.read_bytes())
    fields = int.from_bytes(content[18:26], "big")
    content[18:26] = (fields >> 36 << 36 | total).to_bytes(8, "big")
    source.write_bytes(content)
    normalized, transcoded = results(bench, source)
    assert normalized.outputs[0].metadata["samples"] == SAMPLES
    assert transcoded.outputs[0].metadata["durationSeconds"] == 0.5


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("a.w64", ()), ("a.caf", ()), ("a.au", ()), ("a.wav", ("-rf64", "always"))],
    ids=["W64", "CAF", "AU", "RF64"],
)
@pytest.mark.parametrize("task", [Task.NORMALIZE, Task.TRANSCODE])
def test_what_was_cut_off_is_told(
    bench: Bench, tmp_path: Path, name: str, arguments: tuple[str, ...], task: Task
) -> None:
    source = hostile.ffmpeg(tmp_path, name, "-f", "lavfi", "-i", "sine=f=440:r=44100:d=2", *arguments)
    source.write_bytes(source.read_bytes()[:100_000])
    with pytest.raises(PhaseError, match=r"its header says 2\.0 s") as caught:
        bench.run(task, source, **({"format": "flac"} if task is Task.TRANSCODE else {}))
    assert caught.value.reason is Reason.CORRUPT_MEDIA


def with_edits(film: bytes, *edits: tuple[int, int]) -> bytes:
    """The MP4, whose index is at its end, with another edit list: milliseconds, and from which sample of the track."""
    head, index = film[: film.rindex(b"moov") - 4], film[film.rindex(b"moov") - 4 :]
    track, old = index.index(b"trak") - 4, index.index(b"edts") - 4
    rows = b"".join(struct.pack(">IiI", *edit, 0x1_0000) for edit in edits)
    listed = struct.pack(">I4sI4sII", 24 + len(rows), b"edts", 16 + len(rows), b"elst", 0, len(edits)) + rows
    after = old + int.from_bytes(index[old : old + 4], "big")
    more = len(listed) - (after - old)
    new = bytearray(index[:old] + listed + index[after:])
    for at in (0, track):
        new[at : at + 4] = (int.from_bytes(new[at : at + 4], "big") + more).to_bytes(4, "big")
    return head + bytes(new)


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(((200, 1_024), (300, 9_844)), id="one behind the other"),
        pytest.param(((300, 9_844), (200, 1_024)), id="in another order"),
        pytest.param(((400, -1), (200, 1_024), (300, 9_844)), id="after silence"),
        pytest.param(((250, 1_024), (250, 1_024)), id="one twice"),
    ],
)
def test_parts_that_an_edit_list_puts_together_are_as_long_as_it_says(
    bench: Bench, tmp_path: Path, edits: tuple[tuple[int, int], ...]
) -> None:
    source = hostile.ffmpeg(tmp_path, "a.mp4", "-f", "lavfi", "-i", "sine=f=440:r=44100:d=1", "-c:a", "aac")
    source.write_bytes(with_edits(source.read_bytes(), *edits))
    normalized, transcoded = results(bench, source)
    for result in (normalized, transcoded):
        assert result.outputs[0].metadata["durationSeconds"] == pytest.approx(0.5, abs=0.05)


def aac_in_caf(folder: Path, priming: int) -> Path:
    """As Apple's programs write it: a table says how many samples are played, and how many before and behind are not.
    ffmpeg writes none."""
    adts = hostile.ffmpeg(folder, "a.aac", *TONE).read_bytes()
    packets, at = [], 0
    while at < len(adts):
        length = (adts[at + 3] & 3) << 11 | adts[at + 4] << 3 | adts[at + 5] >> 5
        packets.append(adts[at + 7 : at + length])
        at += length
    sizes = b"".join(bytes([0x80 | len(each) >> 7, len(each) & 0x7F]) for each in packets)
    remainder = 1_024 * len(packets) - SAMPLES - priming
    table = struct.pack(">qqii", len(packets), SAMPLES, priming, remainder) + sizes
    config = b"\x05\x02\x12\x08"  # AAC-LC, 44.1 kHz, mono
    decoder = bytes([4, 13 + len(config), 0x40, 0x15, 0, 0, 0]) + struct.pack(">II", 64_000, 64_000) + config
    cookie = bytes([0, 0, 0, 0, 3, 3 + len(decoder), 0, 0, 0]) + decoder
    form = struct.pack(">d4sIIIII", 44_100, b"aac ", 2, 0, 1_024, 1, 0)
    chunks = ((b"desc", form), (b"kuki", cookie), (b"pakt", table), (b"data", bytes(4) + b"".join(packets)))
    path = folder / "a.caf"
    path.write_bytes(b"caff\0\1\0\0" + b"".join(name + struct.pack(">q", len(each)) + each for name, each in chunks))
    return path


@pytest.mark.parametrize("priming", [0, 1_024])
def test_padding_that_a_caf_names_is_not_played(bench: Bench, tmp_path: Path, priming: int) -> None:
    normalized, transcoded = results(bench, aac_in_caf(tmp_path, priming))
    assert normalized.outputs[0].metadata["samples"] == SAMPLES
    assert transcoded.outputs[0].metadata["durationSeconds"] == 0.5
