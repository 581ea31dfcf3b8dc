"""What `dropscribe up` serves to a browser on this machine: a drop zone, jobs as they go, and the month's report."""
