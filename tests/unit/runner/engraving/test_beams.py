from __future__ import annotations

from fractions import Fraction

import pytest
from tests.unit.runner.engraving.pieces import FOUR_FOUR, event

from audiojob_runner.engraving.notation.beams import beams_of, needs_bracket
from audiojob_runner.score.model import Event, Place, Time, Tuplet, Value

SIGNS = {"begin": "<", "continue": "-", "end": ">", "forward hook": "f", "backward hook": "b"}
VALUES = {"h": Value.HALF, "q": Value.QUARTER, "e": Value.EIGHTH, "s": Value.SIXTEENTH}


def voice(text: str) -> list[Event]:
    """``e. s qr``: an eighth with a dot, a sixteenth, a rest of a quarter."""
    return [event(VALUES[word[0]], *([] if "r" in word else ["C4"]), dots=word.count(".")) for word in text.split()]


@pytest.mark.parametrize(
    ("events", "time", "beams"),
    [
        pytest.param("e e e e e e e e", FOUR_FOUR, "< - - > < - - >", id="eighths fill half a bar of four quarters"),
        pytest.param("e e e s s q q", FOUR_FOUR, "< > < -< >> . .", id="other values make it beats"),
        pytest.param("e e e er q q", FOUR_FOUR, "< > . . . .", id="a rest parts them, and one alone has a flag"),
        pytest.param("e. s q h", FOUR_FOUR, "< >b . .", id="a dotted pair has a hook to the left"),
        pytest.param("s e. q h", FOUR_FOUR, "<f > . .", id="the other way round to the right"),
        pytest.param("e e e e e e", Time(6, 8), "< - > < - >", id="three in a compound beat"),
        pytest.param("e e e e e e", Time(3, 4), "< > < > < >", id="two in a beat of three quarters"),
        pytest.param("e q e e q e", FOUR_FOUR, ". . . . . .", id="nothing over what is longer"),
    ],
)
def test_beams_of_a_bar(events: str, time: Time, beams: str) -> None:
    found = beams_of(voice(events), time, time.quarters)
    assert " ".join("".join(SIGNS[each] for each in beam) or "." for beam in found) == beams


def test_a_pickup_is_beamed_as_the_end_of_a_bar() -> None:
    found = beams_of(voice("e e e"), FOUR_FOUR, Fraction(3, 2))
    assert [len(each) for each in found] == [1, 1, 1]
    assert [each[0].value for each in found] == ["begin", "continue", "end"]


@pytest.mark.parametrize(
    ("names", "bracket"),
    [
        pytest.param(("C4", "D4", "E4"), False, id="one beam shows it"),
        pytest.param(("C4", "", "E4"), True, id="a rest"),
    ],
)
def test_a_tuplet_has_a_bracket_where_its_beam_does_not_show_it(names: tuple[str, ...], bracket: bool) -> None:
    places = (Place.START, Place.MIDDLE, Place.STOP)
    events = [
        event(Value.EIGHTH, *filter(None, [name]), tuplet=Tuplet(3, 2, place))
        for name, place in zip(names, places, strict=True)
    ]
    assert needs_bracket(events, beams_of(events, Time(1, 4), Fraction(1))) is bracket
