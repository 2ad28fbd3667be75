"""A lean asynchronous Kubernetes client and the reflector that the operator and the API share.

Objects are plain dictionaries in the API server's own JSON shape. Import from the modules:
`config` (how to reach the API server), `client` (calls and watches), `errors`, `resources`, `reflector`.
"""
