"""How large a wheel is, packed and unpacked, by the directory at its end: a few kilobytes of gigabytes are fetched."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

BYTECODE = 1.33
"""Compiled modules take so much of their sources' size."""
BYTECODE_COMPRESSED = 0.4
"""The same in a compressed layer. Both of the CPU job's packages, installed: 2.39 GB, and 0.73 GB by gzip (2026-11-21);
with them `Size` says 2.35 and 0.73."""

_BLOCK = 2**17
"""Bytes fetched at once: the directory of most wheels in one request."""
_TIMEOUT_SECONDS = 30.0
_AT_ONCE = 16
"""Requests side by side: each waits for the network."""


@dataclass(frozen=True)
class Size:
    """Bytes of one wheel, or of several."""

    packed: int
    """The wheel itself."""
    unpacked: int
    modules: int
    """Of the unpacked ones, Python sources."""

    @property
    def installed(self) -> int:
        """On disk, with bytecode."""
        return self.unpacked + round(self.modules * BYTECODE)

    @property
    def compressed(self) -> int:
        """The same in a layer as it is pushed and pulled."""
        return self.packed + round(self.modules * BYTECODE_COMPRESSED)

    def __add__(self, other: Size) -> Size:
        return Size(self.packed + other.packed, self.unpacked + other.unpacked, self.modules + other.modules)


class RemoteFile(io.RawIOBase):
    """A file at an address that answers ranges. Raises requests.RequestException."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self._url, self._session, self._position = url, session, 0
        answer = self._get("bytes=0-0")
        self.size = int(answer.headers["Content-Range"].rpartition("/")[2])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: WriteableBuffer
        end = min(self._position + len(buffer), self.size)
        if end <= self._position:
            return 0
        got = self._get(f"bytes={self._position}-{end - 1}").content
        buffer[: len(got)] = got
        self._position += len(got)
        return len(got)

    def _get(self, span: str) -> requests.Response:
        answer = self._session.get(self._url, headers={"Range": span}, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            raise requests.RequestException(f"{self._url} does not answer ranges.", response=answer)
        return answer


def size_of(url: str, session: requests.Session) -> Size:
    """The size of the wheel at an address. Raises requests.RequestException, OSError, zipfile.BadZipFile."""
    if urlsplit(url).scheme == "file":
        return _size(Path(unquote(urlsplit(url).path)).open("rb"))
    return _size(io.BufferedReader(RemoteFile(url, session), _BLOCK))


def sizes_of(urls: Iterable[str]) -> list[Size]:
    """The sizes of several wheels, in order. Raises what `size_of` raises."""
    with requests.Session() as session, ThreadPoolExecutor(_AT_ONCE) as pool:
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_AT_ONCE, max_retries=3))
        return list(pool.map(lambda url: size_of(url, session), urls))


def _size(file: io.BufferedReader) -> Size:
    with file, zipfile.ZipFile(file) as wheel:
        files = wheel.infolist()
        packed = file.seek(0, os.SEEK_END)
    modules = sum(each.file_size for each in files if re.search(r"\.py$", each.filename))
    return Size(packed, sum(each.file_size for each in files), modules)
