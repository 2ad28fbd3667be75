"""Frozen records that the other folders exchange, and their errors. Imports the types alone."""
