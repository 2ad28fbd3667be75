"""Source separation by demucs in constant memory, and its output files. Imports root modules."""
