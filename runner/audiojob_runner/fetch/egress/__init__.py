"""The egress proxy: which addresses may be reached, through which upstream, at which rate. Imports nothing above."""
