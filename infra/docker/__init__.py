"""The images of the jobs: what goes into them, how large they become, and the files Docker builds them from."""
