"""Uploads that arrive in several requests and survive broken connections."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from infra.emulators.storage.errors import InvalidRequestError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from infra.emulators.storage.content import Content, StagedContent
    from infra.emulators.storage.objects import ObjectKey, StoredObject

_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?:\d+|\*)|\*)/(?:(?P<total>\d+)|\*)")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Where a request's bytes belong: from `first` on (None: it has none), in an object of `total` bytes if known."""

    first: int | None
    total: int | None

    @classmethod
    def parse(cls, header: str | None, body_bytes: int | None) -> Self:
        """Read `bytes 0-9/10`, `bytes 0-9/*`, `bytes */10` or `bytes */*`; no header says that the body is all."""
        if header is None:
            return cls(first=0, total=body_bytes)
        match = _CONTENT_RANGE.fullmatch(header)
        if match is None:
            raise InvalidRequestError("Failed to parse Content-Range header.")
        first, total = match["first"], match["total"]
        return cls(None if first is None else int(first), None if total is None else int(total))


class ResumableUpload:
    """One upload: takes one request at a time until all bytes are here, then answers for what became of them.

    `complete` is called once, with all bytes. Checksums that the content is `expected` to have go by resource field.
    """

    def __init__(
        self,
        key: ObjectKey,
        staged: StagedContent,
        expected: Mapping[str, str],
        complete: Callable[[Content], StoredObject],
    ) -> None:
        self.key = key
        self._staged = staged
        self._expected = expected
        self._complete = complete
        self._outcome: StoredObject | StorageError | None = None
        self._lock = threading.Lock()

    @property
    def received(self) -> int:
        """How many bytes from the start are here."""
        return self._staged.size

    def receive(
        self, content_range: ContentRange, blocks: Iterable[bytes], expected: Mapping[str, str]
    ) -> StoredObject | None:
        """Keep those bytes that are new; the object once all are here, which may be refused, and None before.

        When `blocks` raises, the bytes that came before it are kept.
        """
        with self._lock:
            if self._outcome is None:
                self._append(content_range, blocks)
                if self.received == content_range.total:
                    self._outcome = self._finish(expected)
            if isinstance(self._outcome, StorageError):
                raise self._outcome
            return self._outcome

    def abandon(self) -> None:
        """Give up: what was received is removed, unless it became an object."""
        with self._lock:
            self._staged.close()

    def _append(self, content_range: ContentRange, blocks: Iterable[bytes]) -> None:
        if content_range.first is None:
            return
        known = self.received - content_range.first
        if known < 0:
            raise InvalidRequestError(
                f"According to the Content-Range header, the upload offset is {content_range.first} byte(s), "
                f"which exceeds already uploaded size of {self.received} byte(s)."
            )
        for block in blocks:
            self._staged.append(block[known:])
            known = max(0, known - len(block))

    def _finish(self, expected: Mapping[str, str]) -> StoredObject | StorageError:
        try:
            with self._staged:
                content = self._staged.seal({**self._expected, **expected})
            return self._complete(content)
        except StorageError as refusal:
            return refusal
