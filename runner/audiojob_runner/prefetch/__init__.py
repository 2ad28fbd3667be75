"""Fills the models volume ahead of time. Imports phase, models and below."""
