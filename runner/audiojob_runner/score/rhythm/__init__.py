"""When: beats, bars, and where in them each note is."""
