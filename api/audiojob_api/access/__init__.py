"""Who calls and what they may do. Knows no transport: it is given headers and answers with an identity or a Problem.

May import `problems`; never FastAPI, `jobs`, `cluster` or `http`.
"""
