"""What the API asks of identity providers, over HTTP.

May import `access` and `problems`; never `http`, `jobs` or `cluster`.
"""
