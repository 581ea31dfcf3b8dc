"""What other objects of the bucket say about an upload: a list of key terms, and the names of those who speak."""

from __future__ import annotations

from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable
from google.cloud import storage

from shared.errors import Rejected
from shared.keyterms.terms import MOST_FILE_BYTES, merged, parse_keyterms_file
from shared.object_names import name_problem
from shared.options.model import UploadOptions
from shared.options.speaker_names import MAX_FILE_BYTES, parse_speakers_file, speakers_files_of

READ_TIMEOUT_SECONDS = 30.0
"""Longest wait for a file."""


def with_listed_keyterms(options: UploadOptions, bucket: storage.Bucket) -> UploadOptions:
    """The options with all terms in one place: its own, and those of the list that it names.

    Raises Rejected where the list is not there, is none, or holds more than is allowed; and the client's errors.
    """
    name = options.keyterms_file
    if name is None:
        return options
    content = _read(bucket, name, MOST_FILE_BYTES)
    if content is None:
        raise Rejected(f"The list of key terms {name[:200]!r} is not in the upload's bucket.")
    listed = parse_keyterms_file(name, content)
    try:
        return options.model_copy(update={"keyterms": merged([*options.keyterms, *listed])})
    except ValueError as error:
        raise Rejected(f"With the key terms in {name[:200]!r} {error}.") from None


def with_speakers_file(options: UploadOptions, bucket: storage.Bucket, upload_name: str) -> UploadOptions:
    """The options with the names that stand beside the upload, where it asks who speaks and gives none itself.

    Raises Rejected where the file has no names; and the client's errors.
    """
    if not options.tells_speakers_apart or options.speaker_names:
        return options
    for name in speakers_files_of(upload_name):
        # A long name leaves none for a file beside it.
        if name_problem(name) is None and (content := _read(bucket, name, MAX_FILE_BYTES)) is not None:
            return options.model_copy(update={"speaker_names": parse_speakers_file(name, content)})
    return options


def _read(bucket: storage.Bucket, name: str, max_bytes: int) -> bytes | None:
    """The file, or one byte more than allowed of a longer one; as it is stored, however it is encoded. None: there is
    none."""
    try:
        return bytes(
            bucket.blob(name).download_as_bytes(
                start=0, end=max_bytes, timeout=READ_TIMEOUT_SECONDS, checksum=None, raw_download=True
            )
        )
    except RequestRangeNotSatisfiable:
        return b""  # It is empty.
    except NotFound:
        return None
