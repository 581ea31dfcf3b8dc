"""Hundreds of made media files through inspection and decoding: what is missing, misplaced or misreported."""
