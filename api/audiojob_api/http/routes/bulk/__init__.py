"""Many jobs in one call: what is asked for, what came of each, and the routes."""
