"""What Kubernetes says of a phase's Job and Pod, read into records. Pure."""
