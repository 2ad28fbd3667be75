"""Lyrics as people write them down, to the typed record and back. Pure functions of text; a stranger's text at that."""
