"""Development machinery: the embedded Kubernetes cluster, its binaries and the product's images."""
