"""The embedded Kubernetes cluster: control plane, node, add-ons."""
