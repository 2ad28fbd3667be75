from __future__ import annotations

import pytest
from tests.unit.runner.engraving.pieces import event, measures

from audiojob_runner.engraving.notation.accidentals import shown_accidentals
from audiojob_runner.score.model import Value


@pytest.mark.parametrize(
    ("bars", "fifths", "shown"),
    [
        pytest.param(["F4 F#4 F#4 F4"], 0, "0101", id="once, and when it goes back"),
        pytest.param(["F#4 F4 F#4 G4"], 1, "0110", id="the key tells the rest"),
        pytest.param(["Bb4 Bb5 A4 A4"], 0, "1100", id="each octave for itself"),
        pytest.param(["F#4 G4 G4 G4", "F4 F4 G4 G4"], 0, "10001000", id="a reminder in the next bar"),
        pytest.param(["G4 G4 G4 F#4~", "~F#4 F#4 G4 G4"], 0, "00010100", id="not over a tie, but after it"),
        pytest.param(["Eb4 Ab4 Bb4 E4"], -3, "0001", id="three flats"),
    ],
)
def test_accidentals(bars: list[str], fifths: int, shown: str) -> None:
    staff = measures(*([event(Value.QUARTER, name) for name in bar.split()] for bar in bars))
    found = shown_accidentals(staff, fifths)
    marks = "".join(
        str(int((0, number, 0) in here))
        for bar, here in zip(bars, found, strict=True)
        for number in range(len(bar.split()))
    )
    assert marks == shown
