"""`dropscribe rerun` and `dropscribe diff`: jobs that have ended are run again, and their words compared."""
