"""Libraries where published files are kept, and their file names. Imports store."""
