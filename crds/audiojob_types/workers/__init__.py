"""What the operator and the workers of a pool exchange."""
