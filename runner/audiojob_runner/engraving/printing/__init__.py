"""MusicXML as pages: laid out by verovio, printed by typst."""
