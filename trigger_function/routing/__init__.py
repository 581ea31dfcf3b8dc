"""Routing: which method transcribes an upload, and why."""
