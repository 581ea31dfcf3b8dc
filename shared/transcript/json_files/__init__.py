"""transcript.json, and JSON files that are written piece by piece."""
