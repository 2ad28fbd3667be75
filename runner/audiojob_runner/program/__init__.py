"""The containers around the program of a Container phase. Imports phase and below."""
