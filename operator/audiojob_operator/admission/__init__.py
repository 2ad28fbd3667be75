"""Which waiting jobs may start, and which phases may take GPUs. Imports state and below."""
