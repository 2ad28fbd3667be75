"""A score of ``audiojob_runner.score`` as files: MusicXML by music21, pages by verovio, PDF and PNG by typst, MIDI.

These libraries are imported here alone, and only when Engrave runs.
"""
