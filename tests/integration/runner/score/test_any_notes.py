"""Whatever is heard becomes bars that are filled. Beside the fast tests, because many examples take seconds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from audiojob_runner.score.arrange import arrange
from audiojob_runner.score.checks import faults
from audiojob_runner.score.heard import TIME_SIGNATURES, Drum, HeardNote, Hit, Instrument, Level, Options, PartNotes
from audiojob_runner.score.playing import sounding

TIMES = st.one_of(
    st.floats(0, 20), st.integers(0, 80).map(lambda each: each / 4), st.integers(0, 60).map(lambda each: each / 6)
)
NOTES = st.lists(
    st.builds(
        lambda start, length, key: HeardNote(start, start + length, key), TIMES, st.floats(0, 4), st.integers(0, 127)
    ),
    min_size=1,
    max_size=25,
)
HITS = st.lists(st.builds(Hit, TIMES, st.sampled_from(Drum)), min_size=1, max_size=25)
PARTS = st.one_of(
    st.builds(
        lambda notes, instrument: PartNotes("part", instrument, notes),
        NOTES,
        st.sampled_from([each for each in Instrument if each is not Instrument.DRUMS]),
    ),
    st.builds(lambda hits: PartNotes("drums", Instrument.DRUMS, hits=hits), HITS),
)
OPTIONS = st.builds(
    lambda level, time, tempo: Options(level, time=time, quarters_per_minute=tempo),
    st.sampled_from(Level),
    st.sampled_from([None, *TIME_SIGNATURES]),
    st.sampled_from([None, 30.0, 100.0, 300.0]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=3), OPTIONS)
def test_whatever_is_heard_fills_bars_and_sounds_as_often_as_its_keys_begin(
    parts: list[PartNotes], options: Options
) -> None:
    score = arrange(parts, options)
    assert faults(score) == []
    for part in score.parts:
        heads = [n for s in part.staves for m in s.measures for v in m.voices for e in v.events for n in e.notes]
        assert len(sounding(part)) == sum(not note.tied_from for note in heads)
