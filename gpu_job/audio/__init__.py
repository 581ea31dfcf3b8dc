"""Audio: an uploaded file -> 16 kHz samples, their loudness, and chunks cut in pauses."""
