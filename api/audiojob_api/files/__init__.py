"""What the API asks of the files service, and in whose name: tickets, uploads, outputs, logs.

Plain functions over the protocol of `ports`. May import `problems` and `audiojob_store`; never FastAPI or `http`.
"""
