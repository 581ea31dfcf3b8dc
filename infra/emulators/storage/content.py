"""The bytes of objects: one file each, written in pieces under a random name and never changed after that."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import google_crc32c

from infra.emulators.storage.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType


BLOCK_BYTES = 64 * 1024  # what is held in memory of an object at a time


@dataclass(frozen=True, slots=True)
class Content:
    """A finished file; its checksums are base64 of big-endian bytes, as in an object resource."""

    path: Path
    size: int
    crc32c: str
    md5: str | None
    """None for composed content."""
    component_count: int | None = None
    """How many contents a composed one was made of."""


class StagedContent:
    """A file still being written; as a context manager it removes the file unless `seal` succeeded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = 0
        self._sealed = False
        self.size = 0

    def append(self, block: bytes) -> None:
        """Write `block` at the end."""
        self._file.write(block)
        self._md5.update(block)
        self._crc32c = google_crc32c.extend(self._crc32c, block)
        self.size += len(block)

    def seal(self, expected: Mapping[str, str]) -> Content:
        """Finish the file; InvalidRequestError unless its bytes have the `expected` checksums (by resource field)."""
        actual = {"md5Hash": _base64(self._md5.digest()), "crc32c": _base64(self._crc32c.to_bytes(4, "big"))}
        for field, value in expected.items():
            if value != actual[field]:
                raise InvalidRequestError(
                    f'Provided {field} "{value}" does not match calculated {field} "{actual[field]}".'
                )
        self._file.close()
        self._sealed = True
        return Content(self._path, self.size, crc32c=actual["crc32c"], md5=actual["md5Hash"])

    def close(self) -> None:
        """Close the file, and remove it unless it was sealed."""
        self._file.close()
        if not self._sealed:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
