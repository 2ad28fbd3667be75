"""Rules of one attempt: its device, its memory, its outcome, its retry and backoff. Pure."""
