"""Which: key, names of pitches, chords."""
