"""What the rest stands on: processes, locks, packages, binaries, licences."""
