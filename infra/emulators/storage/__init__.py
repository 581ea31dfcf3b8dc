"""Cloud Storage for the laptop: the JSON API as Google's Python client calls it, and GET by V4 signed URL."""
