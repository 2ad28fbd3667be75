"""Kubernetes objects from frozen records: names, labels, pods, Jobs. Pure; imports records only."""
