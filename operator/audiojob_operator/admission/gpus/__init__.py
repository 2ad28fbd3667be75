"""GPUs that pools of workers and Jobs of AudioJobs share."""
