"""The worker: one task of a Cloud Run job execution, from the queue to the published outcome."""
