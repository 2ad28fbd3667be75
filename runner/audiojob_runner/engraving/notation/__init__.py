"""A score as MusicXML, by music21: whatever can be decided is decided before music21 is asked."""
