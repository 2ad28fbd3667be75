"""Words of songs from a service with the interface of LRCLIB."""
