"""Subtitles: where a transcript is cut into cues, how their lines are laid out, and the files they are written to."""
