"""HTTP around `jobs` and `access`: dependencies, middleware, error documents, OpenAPI and the page at /docs.

May import everything but `cluster` and `app`.
"""
