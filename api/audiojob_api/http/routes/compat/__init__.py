"""Addresses that clients of older services know."""
