"""Fetching from strangers: limits, plain HTTP, and what a page's media becomes. Imports media, store and below."""
