"""Where a job's tasks run."""
