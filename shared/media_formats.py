"""The containers that are read. Those that are lists of other files (HLS, concat, DASH, SDP) must never join."""

DEMUXERS = (
    "aac", "ac3", "aiff", "amr", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska", "mov", "mp3", "mpeg",
    "mpegts", "ogg", "w64", "wav",
)  # fmt: skip
"""ffmpeg's names; inspection and decoding know the same ones."""
