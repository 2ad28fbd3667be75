"""Engrave: notes that were heard as sheet music: MusicXML, PDF, pages and MIDI."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from audiojob_types.base import cel
from audiojob_types.descriptor import (
    UNKNOWN,
    AttemptSize,
    ImageFamily,
    Input,
    Output,
    Reuse,
    Served,
    TaskDescriptor,
    TaskParameters,
)

Level = Literal["LeadSheet", "PianoReduction", "FullScore"]
InstrumentName = Literal[
    "Piano", "Organ", "Harp", "Guitar", "Bass", "Voice", "Violin", "Viola", "Cello", "DoubleBass", "Strings", "Flute",
    "Oboe", "Clarinet", "Bassoon", "Horn", "Trumpet", "Trombone", "AltoSaxophone", "TenorSaxophone", "Other", "Drums",
]  # fmt: skip
PART_PATTERN: Final = r"^[a-z][-a-z0-9]{0,62}$"  # as inputs of a phase are named
PartName = Annotated[
    str,
    Field(
        pattern=PART_PATTERN,
        max_length=63,
        description="name of a part, as the phase names its input, such as vocals: lower case letters, digits and -.",
    ),
]
Words = Annotated[str, Field(max_length=200)]

MAX_PARTS: Final = 16
LYRICS_INPUT, ABOUT_INPUT = "lyrics", "about"  # all other inputs are notes.json of a part each
_NAMED: Final = "must name parts as the phase names its inputs, such as vocals"
_PARTS_KEYS: Final = {
    "x-kubernetes-validations": cel(
        (
            f"self.all(name, name.matches('{PART_PATTERN}'))",
            _NAMED,
        )
    )
}


class EngraveParameters(TaskParameters):
    """What is written. What is left out is found in the notes."""

    level: Annotated[
        Level,
        Field(
            description="level is LeadSheet (the melody with words and chords), PianoReduction (all but drums on two "
            "staves) or FullScore (a part for each input). Default FullScore."
        ),
    ] = "FullScore"
    title: Annotated[Words, Field(description="title above the music. Default that of the source.")] | None = None
    composer: Annotated[Words, Field(description="composer. Default the artist of the source.")] | None = None
    instruments: Annotated[
        dict[str, InstrumentName],
        Field(
            max_length=MAX_PARTS,
            description="instruments by part, such as {vocals: Clarinet}: who reads it, which decides staves, clefs "
            "and transposition. Default what Transcribe listened for.",
            json_schema_extra=_PARTS_KEYS,
        ),
    ] = Field(default_factory=dict)
    names: Annotated[
        dict[str, Words],
        Field(
            max_length=MAX_PARTS,
            description="names by part, such as {vocals: Soprano}. Default the part's own.",
            json_schema_extra=_PARTS_KEYS,
        ),
    ] = Field(default_factory=dict)
    keep: Annotated[
        tuple[PartName, ...],
        Field(
            max_length=MAX_PARTS,
            description="keep lists the parts to write, such as [vocals, bass]. Default all.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    chord_symbols: Annotated[
        bool, Field(description="chordSymbols names the chords above a lead sheet or a song. Default true.")
    ] = True
    quarters_per_minute: (
        Annotated[int, Field(ge=20, le=400, description="quartersPerMinute is the tempo. Default: found.")] | None
    ) = None
    time_signature: (
        Annotated[
            str,
            Field(
                pattern=r"^(2/2|[2-6]/4|(3|6|9|12)/8)$",
                max_length=4,
                description="timeSignature is 2/2, 2/4, 3/4, 4/4, 5/4, 6/4, 3/8, 6/8, 9/8 or 12/8. Default: found.",
            ),
        ]
        | None
    ) = None
    key: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-G][#b]? (major|minor)$",
                max_length=9,
                description="key, as it sounds, such as 'Bb major' or 'F# minor'. Default: found.",
            ),
        ]
        | None
    ) = None
    paper: Annotated[Literal["A4", "Letter"], Field(description="paper is A4 or Letter. Default A4.")] = "A4"

    @field_validator("instruments", "names")
    @classmethod
    def _are_of_parts(cls, values: dict[str, str]) -> dict[str, str]:
        for name in values:
            if not re.fullmatch(PART_PATTERN, name):
                raise ValueError(f"{_NAMED}, not {name!r}")
        return values


TASK: Final = TaskDescriptor(
    name="Engrave",
    summary="Writes notes of one part or several as sheet music: MusicXML, PDF, pages and MIDI.",
    page="sheet-music.md",
    parameters=EngraveParameters,
    inputs=(
        Input(LYRICS_INPUT, ("application/json", UNKNOWN), optional=True),
        Input(ABOUT_INPUT, ("*/*",), optional=True, metadata_only=True),
        Input("*", ("application/json", UNKNOWN)),
    ),
    outputs=(
        Output("score", ("application/vnd.recordare.musicxml+xml",)),
        Output("score-mxl", ("application/vnd.recordare.musicxml",)),
        Output("pdf", ("application/pdf",)),
        Output("preview", ("image/png",)),
        Output("midi", ("audio/midi",)),
        Output("midi-*", ("audio/midi",)),
        Output("page-*", ("image/svg+xml",)),
    ),
    reuse=Reuse.BY_DEFAULT,
    reads_metadata=True,
    served=Served.ANY,
    image=ImageFamily.RUNNER_MUSIC,
    size=AttemptSize(cpu="1", memory="1Gi", scratch="2Gi"),
)
