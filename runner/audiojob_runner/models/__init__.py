"""Model files: the volume, loading by name without running code, and fetching. Imports fetch and below."""
