"""CD+G: the words of a song as packets of graphics, for karaoke machines and the programs that play their files."""
