"""Sound to notes: the network's posteriors, and what is read from them; strokes of drums; MIDI."""
