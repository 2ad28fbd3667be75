"""Alembic's environment and the versions of the schema, oldest first. A version that was released never changes."""
