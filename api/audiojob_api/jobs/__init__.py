"""What the API does with AudioJobs: request models, creation, changes, lists, queue positions, following a job.

Plain functions over the protocols of `ports`. May import `access` and `problems`; never FastAPI, `cluster` or `http`.
"""
