"""The proof model: its training music and its training."""
