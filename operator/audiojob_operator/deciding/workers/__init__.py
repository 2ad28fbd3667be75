"""Phases that a worker of a pool does: which may be, which worker gets them, and what its pod says of them. Pure.

A phase is bound by its AudioJob's status alone; the worker's annotation follows it, never the other way.
"""
