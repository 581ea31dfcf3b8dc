"""Progress of what takes long, in words: how much is done, how fast, and how long it will still take."""
