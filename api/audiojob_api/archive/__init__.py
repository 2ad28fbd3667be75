"""The history of finished jobs: written once each from the read model, listed as one with the live ones.

May import `jobs` and `sql`; never `http` or `cluster`.
"""
