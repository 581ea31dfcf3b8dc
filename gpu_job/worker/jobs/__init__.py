"""The jobs that a worker has: claimed, fed, at work, and which there are."""
