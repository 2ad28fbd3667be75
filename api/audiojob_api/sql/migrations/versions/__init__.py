"""One module for each version, named by its number and what it brings; `revision` is the number."""
