"""Readers of exact lengths: what containers say that is played, and ffprobe does not report or ffmpeg does not cut."""
