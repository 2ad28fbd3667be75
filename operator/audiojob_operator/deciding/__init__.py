"""The pure core: what was observed and the time, to a plan. Imports building and records; no I/O, no clock."""
