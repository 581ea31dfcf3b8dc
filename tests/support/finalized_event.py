"""The event of a finished upload, as the function gets it."""

from __future__ import annotations

from cloudevents.http import CloudEvent

from shared.media import Upload

FINALIZED = "google.cloud.storage.object.v1.finalized"


def finalized_event(upload: Upload) -> CloudEvent:
    """The generation is a string on the wire."""
    data = {"bucket": upload.bucket, "name": upload.name, "generation": str(upload.generation), "size": "1"}
    return CloudEvent({"type": FINALIZED, "source": "//storage.googleapis.com", "id": "1"}, data)
