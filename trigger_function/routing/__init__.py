"""Routing: which method transcribes an upload, and why. Pure; begin with `router.py`."""
