"""Recordings on their way into the uploads bucket: from there each takes the way of every dropped file."""
