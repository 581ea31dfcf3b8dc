"""Trains Tiny Parakeet: `python -m tools.tiny_parakeet.train`. README.md says how, and how well the model does."""
