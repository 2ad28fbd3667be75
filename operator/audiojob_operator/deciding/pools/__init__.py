"""What to do about the workers of a pool. Pure: from what is seen of them to what is to be written."""
