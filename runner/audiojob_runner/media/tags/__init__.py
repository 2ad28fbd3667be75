"""Tags and pictures as files store them: read in their own encodings, and written where ffmpeg cannot. Imports errors
only; everything that is read here is a stranger's, so each size is checked before it is believed."""
