"""How many samples of a track are played: made of atoms, without a sound in them."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiojob_runner.media.lengths.mp4 import mp4_samples

RATE = 44_100
SMPB = b" 00000000 00000840 000001CA 0000000000001000 00000000"


def atom(name: bytes, *inside: bytes) -> bytes:
    content = b"".join(inside)
    return struct.pack(">I4s", 8 + len(content), name) + content


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big", signed=value < 0) for value in values)


def edits(*rows: tuple[int, int]) -> bytes:
    return atom(b"edts", atom(b"elst", numbers(0, len(rows), *(n for row in rows for n in (*row, 0x1_0000)))))


def film(
    *stts: int, edit: bytes = b"", unit: int = 1_000, timescale: int = RATE, more: bytes = b"", behind: bytes = b""
) -> bytes:
    """A film whose second track has samples of these numbers and durations."""
    table = atom(b"stbl", atom(b"stts", numbers(0, len(stts) // 2, *stts)))
    sound = atom(
        b"trak", atom(b"tkhd", numbers(0, 0, 0, 7)), edit,
        atom(b"mdia", atom(b"mdhd", numbers(0, 0, 0, timescale, 0)), atom(b"minf", table)),
    )  # fmt: skip
    return (
        atom(b"ftyp", b"M4A ")
        + atom(b"moov", atom(b"mvhd", numbers(0, 0, 0, unit)), atom(b"trak"), sound, more)
        + behind
    )


def smpb(value: bytes = SMPB) -> bytes:
    tag = atom(b"----", atom(b"mean", bytes(4)), atom(b"name", bytes(4), b"iTunSMPB"), atom(b"data", bytes(8), value))
    return atom(b"udta", atom(b"meta", bytes(4), atom(b"ilst", tag)))


def fragment(*durations: int, begin: int, number: int = 7, usual: int = 0) -> bytes:
    head = atom(b"tfhd", numbers(0x08 if usual else 0, number, *([usual] if usual else [])))
    run = [0, len(durations)] if usual else [0x301, len(durations), 0]
    pieces = [] if usual else [each for duration in durations for each in (duration, 99)]
    return (
        atom(b"moof", atom(b"traf", head, atom(b"tfdt", numbers(0, begin)), atom(b"trun", numbers(*run, *pieces))))
        + atom(b"mdat", b"sound")
    )  # fmt: skip


EXTENDED = atom(b"mvex", atom(b"trex", numbers(0, 7, 1, 1_024, 0, 0)))


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(film(10, 1_024), 10_240, id="whole frames"),
        pytest.param(film(9, 1_024, 1, 100), 9_316, id="a last frame that plays less"),
        pytest.param(film(10, 1_024, edit=edits((200, 1_024))), 8_820, id="an edit that ends before the sound"),
        pytest.param(
            film(9, 1_024, 1, 100, edit=edits((188, 1_024))), 8_292, id="an edit of milliseconds with an end between"
        ),
        pytest.param(film(10, 1_024, edit=edits((9_000, 1_024)), unit=RATE), 9_000, id="an edit of samples"),
        pytest.param(film(10, 1_024, edit=edits((500, -1), (200, 1_024))), 8_820, id="silence before the sound"),
        pytest.param(film(10, 1_024, edit=edits((0, 1_024))), 9_216, id="an edit without an end"),
        pytest.param(film(10, 1_024, edit=edits((99_000, 1_024))), 9_216, id="an edit longer than the sound"),
        pytest.param(film(10, 1_024, edit=edits((50, 0), (50, 4_096))), None, id="two parts put together"),
        pytest.param(film(10, 1_024, edit=edits((50, 20_000))), None, id="an edit behind the sound"),
        pytest.param(film(10, 512, timescale=RATE // 2), 10_240, id="units of two samples"),
        pytest.param(film(10, 1_024, more=smpb()), 4_096, id="Apple's tag without an edit"),
        pytest.param(film(2, 1_024, more=smpb()), 2_048, id="Apple's tag of another file"),
        pytest.param(film(10, 1_024, more=smpb(b"nonsense")), 10_240, id="a tag that is none"),
        pytest.param(film(10, 1_024, timescale=0), None, id="no unit"),
        pytest.param(film(), None, id="no samples"),
        pytest.param(film(10, 1_024)[:150], None, id="cut off"),
        pytest.param(atom(b"ftyp", b"M4A "), None, id="no film"),
        pytest.param(
            film(more=EXTENDED, behind=fragment(1_024, 1_024, begin=0) + fragment(1_024, 10, begin=2_048)), 3_082,
            id="fragments",
        ),
        pytest.param(
            film(more=EXTENDED, behind=fragment(1, 1, begin=0, usual=500)), 1_000, id="fragments of one duration"
        ),
        pytest.param(
            film(
                edit=edits((0, 24)), more=EXTENDED,
                behind=fragment(1_024, begin=0) + fragment(5, begin=0, number=1) + fragment(1_024, begin=1_024),
            ),
            2_024,
            id="fragments of other tracks between",
        ),
        pytest.param(
            film(more=EXTENDED, behind=fragment(1_024, begin=0) + fragment(1_024, begin=9_999)), None,
            id="fragments with a gap",
        ),
        pytest.param(
            film(more=EXTENDED, behind=fragment(1_024, begin=0) + fragment(1_024, begin=1_024)[:-3]), None,
            id="fragments that are cut off",
        ),
    ],
)  # fmt: skip
def test_samples_that_are_played(content: bytes, want: int | None) -> None:
    assert mp4_samples(io.BytesIO(content), len(content), 1, RATE) == want


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_bytes_stop_the_reader(data: st.DataObject) -> None:
    content = bytearray(
        film(9, 1_024, 1, 100, edit=edits((188, 1_024)), more=EXTENDED + smpb(), behind=fragment(9, begin=9_316))
    )
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    samples = mp4_samples(io.BytesIO(content), len(content), data.draw(st.integers(0, 2)), RATE)
    assert samples is None or samples >= 0
