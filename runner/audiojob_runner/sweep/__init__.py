"""Removes expired folders from the store of one namespace. Imports store."""
