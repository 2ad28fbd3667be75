"""Kubernetes behind the protocols of `access` and `jobs`: reviews of tokens and rights, AudioJobs, their read model.

May import `access`, `jobs` and `audiojob_kube`; never `http`.
"""
