"""How it is written: staves, voices, values, rests, ties, words."""
