"""The transcript and the formats it is written in."""
