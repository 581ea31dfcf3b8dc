"""Files of this machine into the uploads bucket: their transcription begins with it."""

from __future__ import annotations

import errno
import mimetypes
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from google.cloud.storage import Blob, Bucket

from dropscribe.resumable import send
from shared.errors import SERVICE_UNAVAILABLE_ERRORS
from shared.media import Upload
from shared.options.model import UploadOptions

UPLOAD_ERRORS = (OSError, *SERVICE_UNAVAILABLE_ERRORS)
"""What `drop` raises."""

ONE_REQUEST_BYTES = 8 * 1024 * 1024
"""Up to which a file is sent in one request. Source: Google's client does so."""

Progress = Callable[[int, int], None]
"""Bytes that have arrived, and bytes in all."""


def drop(
    bucket: Bucket,
    path: Path,
    name: str,
    options: UploadOptions | None = None,
    on_progress: Progress | None = None,
) -> Upload:
    """Upload a file; its transcription begins with it. `object_name` makes a valid name of any path.

    A file that grows is uploaded as long as it is now. One of more than 8 MB is sent in parts, and goes on behind the
    last part that arrived where a connection breaks. Raises OSError where it is no file, cannot be read, or becomes
    shorter while it is read, and what Google's client raises.
    """
    blob = bucket.blob(name)
    if options and (metadata := options.metadata()):
        blob.metadata = metadata
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if on_progress is not None:
            on_progress(0, size)
        try:
            generation = _send(blob, file, size, content_type, on_progress)
        except ValueError as error:
            # The end of the file was found before its size.
            raise OSError(errno.EIO, f"It changed while it was read ({error})", str(path)) from None
        if file.tell() != size:
            raise OSError(errno.EIO, "It became shorter while it was read", str(path))
    return Upload(bucket=str(bucket.name), name=name, generation=generation)


def _send(blob: Blob, file: BinaryIO, size: int, content_type: str, on_progress: Progress | None) -> int:
    """The generation of the object."""
    if size > ONE_REQUEST_BYTES:
        url = str(blob.create_resumable_upload_session(content_type=content_type, size=size))
        return int(send(url, file, size, on_progress)["generation"])
    blob.upload_from_file(file, size=size, content_type=content_type)
    if on_progress is not None:
        on_progress(size, size)
    return int(blob.generation)


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError, also where it is none: what comes through a pipe may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        kind = next((kind for is_kind, kind in kinds if is_kind(mode)), "a device")
        raise OSError(errno.EINVAL, f"It is {kind}, not a file", str(path))
    return path.open("rb")
