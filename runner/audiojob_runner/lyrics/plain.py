"""Plain text: a line for each line, and empty ones between stanzas."""

from __future__ import annotations

from audiojob_runner.lyrics.draft import Draft, Piece, Row, Rows
from audiojob_types.documents.lyrics import Form


def read_plain(text: str) -> Draft:
    """Words without times. Raises :class:`~audiojob_runner.lyrics.draft.UnusableError`."""
    rows = Rows()
    stanza = False
    for line in text.splitlines():
        if line.strip():
            rows.add([Row((Piece(line),), stanza=stanza and bool(rows.found))])
        stanza = not line.strip()
    return Draft(Form.PLAIN, tuple(rows.found))
