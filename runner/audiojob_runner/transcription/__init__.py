"""Sound to notes: what a network hears and what is read from it; strokes of drums; MIDI."""
