"""A thin HTTP service: it turns requests into AudioJobs, and shows what the API server knows of them."""
