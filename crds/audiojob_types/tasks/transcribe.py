"""Transcribe: the notes of a recording, as JSON and as MIDI."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from audiojob_types.descriptor import (
    MEDIA,
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

# As audiojob_types.documents.notes names them, which descriptors do not import.
InstrumentName = Literal["Piano", "Guitar", "Bass", "Voice", "Other", "Drums"]
Sensitivity = Literal["Low", "Normal", "High"]


class TranscribeParameters(TaskParameters):
    """What is listened for. It works best on one instrument alone."""

    instrument: Annotated[
        InstrumentName,
        Field(
            description="instrument that plays: Piano, Guitar, Bass, Voice, Drums or Other, which is any other and "
            "several together. It decides which notes there can be, and how many at a time. Default Other."
        ),
    ] = "Other"
    sensitivity: Annotated[
        Sensitivity,
        Field(
            description="sensitivity is how faint a note may be: High finds more notes, and more that nobody played, "
            "Low fewer of both. Default Normal."
        ),
    ] = "Normal"
    stem: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][-_.A-Za-z0-9]*$",
                max_length=63,
                description="stem names the part in notes.json and the track in the MIDI file, such as bass: letters, "
                "digits and - _ . alone. Default: the instrument names it.",
            ),
        ]
        | None
    ) = None
    allow_empty: Annotated[
        bool,
        Field(
            description="allowEmpty writes an empty result with a warning where no note is heard, as for the vocals of "
            "an instrumental, and nothing where there is no recording; without it the phase fails. Default false."
        ),
    ] = False
    max_duration_seconds: Annotated[
        int,
        Field(ge=1, le=21_600, description="maxDurationSeconds refuses recordings that play longer. Default 15 min."),
    ] = 900


TASK: Final = TaskDescriptor(
    name="Transcribe",
    summary="Finds the notes that an instrument or a voice plays, or the strokes of drums; writes JSON and MIDI.",
    page="sheet-music.md",
    parameters=TranscribeParameters,
    # The first that is given is heard: models of Separate call the same stem differently, and not each makes it.
    inputs=(Input("audio", (*MEDIA, UNKNOWN), optional=True), Input("*", (*MEDIA, UNKNOWN), optional=True)),
    outputs=(Output("notes", ("application/json",), optional=True), Output("midi", ("audio/midi",), optional=True)),
    reuse=Reuse.BY_DEFAULT,
    served=Served.OWN_INPUTS,
    image=ImageFamily.RUNNER_MUSIC,
    size=AttemptSize(cpu="1", memory="1Gi", scratch="2Gi"),
)
