"""What function and job both know of media files: their tracks, and sizes in headers that are wrong."""
