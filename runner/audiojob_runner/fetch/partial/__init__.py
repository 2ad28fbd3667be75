"""Partial downloads that the next attempt continues. Imports fetch.common and store."""
