"""For programs that use a deployment: upload files, receive their outcomes, fetch the results."""

from __future__ import annotations

import errno
import mimetypes
import os
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.storage import Bucket, Client

from shared.errors import SERVICE_UNAVAILABLE_ERRORS
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.object_names import folder_name
from shared.objects import bucket_and_name
from shared.upload_options import UploadOptions

PULL_SECONDS = 1.0

UPLOAD_ERRORS = (OSError, *SERVICE_UNAVAILABLE_ERRORS)
"""What `drop` raises."""


def drop(bucket: Bucket, path: Path, name: str, options: UploadOptions | None = None) -> Upload:
    """Upload a file; its transcription begins with it. `object_name` makes a valid name of any path.

    A file that grows is uploaded as long as it is now. Raises OSError where it is no file, cannot be read, or becomes
    shorter while it is read, and what Google's client raises.
    """
    blob = bucket.blob(name)
    if options and (metadata := options.metadata()):
        blob.metadata = metadata
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            blob.upload_from_file(file, size=size, content_type=content_type)
        except ValueError as error:
            # Google's client found the end of the file before its size.
            raise OSError(errno.EIO, f"It changed while it was read ({error})", str(path)) from None
        if file.tell() != size:
            raise OSError(errno.EIO, "It became shorter while it was read", str(path))
    return Upload(bucket=str(bucket.name), name=name, generation=int(blob.generation))


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError, also where it is none: what comes through a pipe may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        kind = next((kind for is_kind, kind in kinds if is_kind(mode)), "a device")
        raise OSError(errno.EINVAL, f"It is {kind}, not a file", str(path))
    return path.open("rb")


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
    return root.joinpath(*(folder_name(part) for part in parts if part not in ("/", "//", "..")))


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
