"""Carries out what is decided about pools of workers, and tells people of it."""
