"""One reconcile of one AudioJob: gather, decide, apply; and the work queue. Imports admission and below."""
