"""The decoder: a program of its own that reads one file with FFmpeg's libraries. It imports PyAV, nothing heavier."""
