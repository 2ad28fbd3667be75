"""The network that hears notes, and which part of a recording it is shown at a time."""
