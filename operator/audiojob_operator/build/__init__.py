"""Kubernetes objects from frozen data: names, labels, pods, Jobs."""
