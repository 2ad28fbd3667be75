"""What many jobs amount to: sums by the hour, groups of them, and whether all is well. Pure."""
