"""The operator: turns AudioJobs into Kubernetes Jobs, one per phase and attempt, and keeps status."""
