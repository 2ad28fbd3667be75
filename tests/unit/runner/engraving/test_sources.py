from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.engraving.sources import MAX_NOTES, MAX_WORD, Sources, read_sources
from audiojob_runner.errors import PhaseError
from audiojob_runner.score.heard import Instrument
from audiojob_runner.task import TaskInput
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.engrave import EngraveParameters


def notes(instrument: str = "Piano", count: int = 2, **first: Any) -> dict[str, Any]:
    found = [{"onset": at / 100, "offset": at / 100 + 0.5, "pitch": 60 + at % 12} for at in range(count)]
    if found:
        found[0] |= first
    return {"version": 1, "durationSeconds": 9.0, "instrument": instrument, "notes": found}


LYRICS = {
    "version": 1, "timing": "Words", "direction": "LeftToRight", "origin": {"place": "Input"},
    "lines": [{"words": [{"text": "One", "startMilliseconds": 0, "endMilliseconds": 400},
                         {"text": "more", "startMilliseconds": 400, "endMilliseconds": 800}],
               "startMilliseconds": 0, "endMilliseconds": 800}],
}  # fmt: skip


def read(folder: Path, given: dict[str, Any], **wanted: Any) -> Sources:
    inputs = {}
    for name, content in given.items():
        path = folder / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        inputs[name] = TaskInput(name, path)
    return read_sources(inputs, EngraveParameters.model_validate(wanted))


def test_parts_are_named_by_inputs_and_a_lone_one_by_its_instrument(tmp_path: Path) -> None:
    found = read(tmp_path, {"vocals": notes("Voice"), "bass": notes("Bass")}, names={"bass": "Low\n<one>"})
    assert [(each.name, each.part.name, each.part.instrument) for each in found.parts] == [
        ("vocals", "Voice", Instrument.VOICE),
        ("bass", "Low <one>", Instrument.BASS),
    ]
    [lone] = read(tmp_path, {"notes": notes("Guitar")}).parts
    assert (lone.name, lone.part.name) == ("guitar", "Guitar")
    [chosen] = read(tmp_path, {"vocals": notes("Voice")}, instruments={"vocals": "AltoSaxophone"}).parts
    assert (chosen.name, chosen.part.name) == ("vocals", "Alto saxophone")


def test_parts_that_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    given = {"vocals": notes("Voice"), "voice": notes("Voice"), "bass": notes("Bass")}
    found = read(tmp_path, given, names={"bass": "Voice"})
    assert [(each.name, each.part.name) for each in found.parts] == [
        ("vocals", "Voice"),
        ("voice", "Voice 2"),
        ("bass", "Voice 3"),
    ]


def test_drums_have_hits_and_words_go_to_who_sings(tmp_path: Path) -> None:
    drums = {**notes("Drums", 0), "hits": [{"time": 0.5, "drum": "Hat"}, {"time": 0.1, "drum": "Kick"}]}
    found = read(tmp_path, {"drums": drums, "vocals": notes("Voice"), "lyrics": LYRICS})
    assert [hit.drum.value for hit in found.parts[1].part.hits] == ["Kick", "ClosedHat"]
    assert [word.text for word in found.parts[0].part.words] == ["One", "more"]
    assert found.warnings == ()


def test_words_are_text_alone_and_fit(tmp_path: Path) -> None:
    def sung(text: str) -> dict[str, Any]:
        return {"text": text, "startMilliseconds": 0, "endMilliseconds": 400}

    words = [sung(text) for text in ("\u202eevil", "x" * 300, "😀", "a<b>&")]
    lyrics = LYRICS | {"lines": [{"words": words, "startMilliseconds": 0, "endMilliseconds": 400}]}
    [singer] = read(tmp_path, {"vocals": notes("Voice"), "lyrics": lyrics}).parts
    assert [word.text for word in singer.part.words] == ["evil", "x" * (MAX_WORD - 1) + "…", "a<b>&"]


def test_what_is_empty_gets_no_part_and_words_without_a_singer_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, {"piano": notes(), "vocals": notes("Voice", 0), "lyrics": LYRICS})
    assert [each.name for each in found.parts] == ["piano"]
    assert [warning.split(":")[0].split(",")[0] for warning in found.warnings] == [
        "Nothing is heard in vocals",
        "There are lyrics",
    ]


@pytest.mark.parametrize(
    ("given", "wanted", "told"),
    [
        pytest.param({}, {}, "at least one input with notes", id="no input at all"),
        pytest.param({f"p{n}": notes() for n in range(17)}, {}, "17 inputs with notes", id="seventeen parts"),
        pytest.param({"Piano_1": notes()}, {}, "input Piano_1 cannot name a part", id="a name that no output can have"),
        pytest.param({"piano-": notes()}, {}, "midi-piano- could not", id="a name that ends with a dash"),
        pytest.param({"p" * 59: notes()}, {}, "cannot name a part", id="a name too long for an output"),
        pytest.param({"piano": "{"}, {}, "input piano is no notes.json", id="no JSON"),
        pytest.param({"piano": notes(pitch=128)}, {}, "notes.0.pitch", id="a note outside MIDI"),
        pytest.param({"piano": notes(offset=0.0)}, {}, "offset must be above onset", id="an end before the beginning"),
        pytest.param({"piano": notes(count=MAX_NOTES + 1)}, {}, "30,001 notes", id="too many notes"),
        pytest.param({"piano": notes()}, {"keep": ["vocals"]}, "keep names vocals", id="a part that is none"),
        pytest.param({"piano": notes()}, {"instruments": {"piano": "Drums"}}, "notes are heard", id="notes as drums"),
        pytest.param({"piano": notes(), "lyrics": "x"}, {}, "input lyrics is no JSON", id="lyrics that are none"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, given: dict[str, Any], wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(PhaseError) as caught:
        read(tmp_path, given, **wanted)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)
    assert told in caught.value.message
    assert caught.value.suggestion


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"piano": notes(count=0), "bass": notes("Bass", 0)}, Reason.EMPTY_MEDIA, id="nothing is heard"),
        pytest.param({"piano": notes(onset=8000.0, offset=8001.0)}, Reason.TOO_LONG, id="hours of it"),
    ],
)
def test_nothing_to_write(tmp_path: Path, given: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(PhaseError) as caught:
        read(tmp_path, given)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.NOT_MEDIA, reason)
