"""Makes the recordings of `infra.recordings`: `python -m tools.recordings.make_recordings`."""
