"""The operator's connections to the outside: kopf, Lease, probes, permissions, periodic sweeps. Imports everything."""
