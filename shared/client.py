"""For programs that use a deployment: upload files, receive their outcomes, fetch the results."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.storage import Bucket, Client

from shared.media import Upload
from shared.messages import TerminalMessage
from shared.objects import bucket_and_name
from shared.upload_options import UploadOptions

PULL_SECONDS = 1.0


def drop(bucket: Bucket, path: Path, name: str, options: UploadOptions | None = None) -> Upload:
    """Upload a file; its transcription begins with it."""
    blob = bucket.blob(name)
    if options and (metadata := options.metadata()):
        blob.metadata = metadata
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    blob.upload_from_filename(str(path), content_type=content_type)
    return Upload(bucket=str(bucket.name), name=name, generation=int(blob.generation))


def outcomes(
    subscriber: SubscriberClient, subscription: str, wanted: Collection[str], timeout: float | None = None
) -> Iterator[TerminalMessage | None]:
    """The terminal messages of the jobs `wanted`, each once, until all came; None whenever a second passes.

    A message delivered twice, or of another job, is acknowledged and left out. TimeoutError after `timeout` seconds.
    """
    waiting = set(wanted)
    deadline = None if timeout is None else time.monotonic() + timeout
    while waiting:
        try:
            pulled = subscriber.pull(subscription=subscription, max_messages=100, timeout=PULL_SECONDS, retry=None)
            received = list(pulled.received_messages)
        except DeadlineExceeded:
            received = []
        for one in received:
            message = TerminalMessage.model_validate_json(one.message.data)
            if message.job_id in waiting:
                waiting.remove(message.job_id)
                yield message
            subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id])
        if waiting and deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"no outcome of {len(waiting)} uploads within {timeout:g} s")
        if not received:
            yield None


def results_folder(root: Path, message: TerminalMessage) -> Path:
    """A folder under `root` named like the upload, whose name may not lead out of `root`: uploaders choose it."""
    parts = PurePosixPath(message.upload.name).parts
    return root.joinpath(*(part for part in parts if part not in ("/", "//", "..")))


def fetch_results(client: Client, message: TerminalMessage, folder: Path) -> list[Path]:
    """Copy a job's results into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, uri in message.results.items():
        bucket, key = bucket_and_name(uri)
        path = folder / PurePosixPath(name).name
        client.bucket(bucket).blob(key).download_to_filename(str(path))
        paths.append(path)
    return paths
