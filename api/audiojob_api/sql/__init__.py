"""The database: history, accounts, limits and uploads. SQLAlchemy Core over SQLite (one replica) or PostgreSQL.

Knows no transport and no Kubernetes. What asks it stands in the folder that the table belongs to.
"""
