"""One file of a repository onto this disk: resumed after a break, and checked by its hash before it counts.

The hub's own client begins a broken download anew and compares sizes only (huggingface_hub 2.4); a model has 650 MB.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import constants, get_session
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from gpu_job.asr.hub.errors import FetchFailed

_log = logging.getLogger(__name__)

_RANGE_IGNORED, _RANGE_USED, _RANGE_REFUSED = 200, 206, 416


@dataclass(frozen=True)
class HubFile:
    """A file of a repository at one commit."""

    name: str
    size: int
    """Bytes."""
    hash: str
    """What the hub's cache calls it: the sha256 of a large file, git's id of another."""
    is_large: bool
    """Kept in Git LFS or Xet; a small one is in git itself."""


@dataclass(frozen=True)
class Patience:
    """How long a server may be silent."""

    connect_seconds: float = 5.0
    """For a connection, and for the first answer: without a network a person is told within 10 s."""
    silent_seconds: float = constants.HF_HUB_DOWNLOAD_TIMEOUT
    """Between two blocks; HF_HUB_DOWNLOAD_TIMEOUT, 10 s where it is not set."""
    attempts: int = 4
    """In a row that bring nothing new."""
    pause_seconds: float = 1.0
    """Before the next attempt."""


def partial_path(blob: Path) -> Path:
    """Where a file is until it is whole."""
    return blob.with_name(f"{blob.name}.incomplete")


def download(url: str, file: HubFile, blob: Path, patience: Patience, on_bytes: Callable[[int], None]) -> None:
    """Fetch `file` to `blob`, going on where an earlier attempt ended, in whatever process.

    `on_bytes`: called with the bytes that came, negative where they have to come again.
    Raises FetchFailed for a file that is not the one listed, after removing it; httpx2.TransportError where the server
    went silent; HfHubHTTPError; OSError where it cannot be written.
    """
    partial = partial_path(blob)
    resumed = partial.exists()
    _receive_all(url, file, partial, patience, on_bytes)
    if resumed and not _is_whole(partial, file):
        # The beginning may be of another day: once more from there, then it is the server's.
        on_bytes(-_discard(partial))
        _receive_all(url, file, partial, patience, on_bytes)
    if not _is_whole(partial, file):
        on_bytes(-_discard(partial))
        raise FetchFailed(
            f"{url} is not the file that its repository lists (its size or its hash is another); it was removed."
        )
    partial.replace(blob)


def _receive_all(url: str, file: HubFile, partial: Path, patience: Patience, on_bytes: Callable[[int], None]) -> None:
    failures = 0
    while (before := _size(partial)) < file.size:
        try:
            _receive(url, file.size, partial, patience, on_bytes)
        except httpx2.TransportError as error:
            # The connection broke. An attempt that brought something does not count.
            failures = 0 if _size(partial) > before else failures + 1
            if failures >= patience.attempts:
                raise
            _log.info("a download broke and goes on", extra={"fields": {"url": url, "error": str(error)}})
            time.sleep(patience.pause_seconds)
        else:
            if _size(partial) <= before:
                return  # the server has no more, and says so: what is missing shows in the hash


def _receive(url: str, size: int, partial: Path, patience: Patience, on_bytes: Callable[[int], None]) -> None:
    """One request, for what is missing."""
    begin = _size(partial)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    timeout = httpx2.Timeout(patience.silent_seconds, connect=patience.connect_seconds)
    with get_session().stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        if response.status_code == _RANGE_REFUSED or (begin and response.status_code == _RANGE_IGNORED):
            on_bytes(-_discard(partial))
            begin = 0
        if response.status_code == _RANGE_REFUSED:
            return
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        with partial.open("ab") as out:
            # As they come: a block that is waited for would be lost where the connection breaks.
            for block in response.iter_bytes():
                out.write(block)
                out.flush()
                on_bytes(len(block))
                begin += len(block)
                if begin > size:
                    return  # not the file listed; the rest need not come


def _is_whole(partial: Path, file: HubFile) -> bool:
    return _size(partial) == file.size and _hash(partial, file) == file.hash


def _hash(path: Path, file: HubFile) -> str:
    if not file.is_large:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _discard(path: Path) -> int:
    """Remove a file; its size."""
    size = _size(path)
    path.unlink(missing_ok=True)
    return size
