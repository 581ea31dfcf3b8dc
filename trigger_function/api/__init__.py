"""The HTTP API of a deployment: programs submit recordings, look after jobs, fetch results. `routes.py` lists it."""
