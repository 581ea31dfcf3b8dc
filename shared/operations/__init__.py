"""What an operator does to a deployment that runs: re-runs of jobs, and dead letters."""
