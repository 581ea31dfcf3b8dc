"""Inspection: what an upload is, by ranged reads and without decoding it."""
