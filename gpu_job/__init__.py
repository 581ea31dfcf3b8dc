"""The Cloud Run job: work items in, transcripts out."""

import time

BEGAN = time.monotonic()
"""When this process began, before the imports: they are billed too."""
