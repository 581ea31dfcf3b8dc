"""Engines: chunks queue for one, and go on to the next one where it fails."""
