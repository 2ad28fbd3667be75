"""A song's words as a film: rows and screens, cards, countdown, and the subtitles that all this becomes."""
