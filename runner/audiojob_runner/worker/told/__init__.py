"""What the worker is told: the order, read by processes of their own."""
