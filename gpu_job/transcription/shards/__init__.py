"""One shard of a long upload: which chunks are its own, and what it found out of its range; and all of them joined."""
