"""``make demo``: a real piece of music through real Kubernetes Jobs into stems, watched from the terminal."""
