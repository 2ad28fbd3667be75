"""Reuse keys, references between jobs, and phases that need no Job of their own. Pure."""
