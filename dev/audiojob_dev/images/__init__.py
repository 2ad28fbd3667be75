"""Container images, built with buildah and loaded into containerd."""
