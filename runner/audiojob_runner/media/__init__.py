"""ffmpeg and ffprobe through one guarded wrapper, and what they report as records. Imports root modules only."""
