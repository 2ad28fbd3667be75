"""What Prometheus sees of the operator: the table of names, their known labels, and the registry that counts."""
