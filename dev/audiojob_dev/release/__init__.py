"""What a release publishes, made in ``dist/``: ``make release``. The same commit and images give the same bytes."""
