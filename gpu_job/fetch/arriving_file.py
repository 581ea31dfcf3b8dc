"""A large file that is read while it is fetched: in parts, those first that somebody waits for, else from the front."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c

from gpu_job.fetch.arrival import PART_BYTES, POLL_SECONDS, ArrivalMap
from gpu_job.fetch.part_checksums import whole_checksum

CONNECTIONS = 2
"""Requests at once: one transfers while the other waits for its answer. Four uploads have eight of the storage client's
ten connections."""

_NOTHING_WANTED = -1

_LOOK_SECONDS = 0.5
"""How soon it is noticed that nobody waits any more."""

_CHECKSUM_BYTES = 2**20
"""Read back at a time."""


class ArrivingFile:
    """Fetched by threads of its own from the beginning on, into its place on the disk. A context manager: on the way
    out the threads are ended, within a part's time."""

    def __init__(
        self,
        path: Path,
        size: int,
        first: bytes,
        read: Callable[[int, int], bytes],
        check: Callable[[int], None],
        on_end: Callable[[BaseException | None], None] = lambda error: None,
        *,
        on_demand: bool = False,
    ) -> None:
        """`size`: of the file, in bytes; `first`: its first part. `read(start, end)` fetches others; it is called on
        any thread. `check` gets the CRC32C of the whole file, and raises where that is wrong. `on_end` is called once,
        on any thread, when the file is there and checked, or with the error that prevented it; `wait` returns after.
        `on_demand`: fetch only what readers want, and the part behind each, until `fetch_all`."""
        self.path = path
        self.map_path = path.with_suffix(".arrival")
        """Of its ArrivalMap."""
        self._size = size
        self._read = read
        self._check = check
        self._on_end = on_end
        self._on_demand = on_demand
        self._map = ArrivalMap.create(self.map_path, size)
        self._taken = bytearray(self._map.parts)
        self._lock = threading.Lock()
        self._checksum_lock = threading.Lock()
        self._checksums: dict[int, int] = {}
        self._is_ending, self._ended = False, threading.Event()
        self._error: BaseException | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.ftruncate(self._descriptor, size)
        self._taken[0] = 1
        self._threads = [threading.Thread(target=self._fetch, args=(first,), name="fetch", daemon=True)]
        self._threads += [
            threading.Thread(target=self._fetch, name="fetch", daemon=True) for _ in range(CONNECTIONS - 1)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the whole file is there and checked; False after `timeout_seconds`.

        Raises what `read` and `check` raised, and OSError where the disk is full.
        """
        ended = self._ended.wait(timeout_seconds)
        if self._error is not None:
            raise self._error
        return ended

    def fetch_all(self) -> None:
        """From now on fetch what nobody has wanted, too."""
        self._on_demand = False

    def checksums(self) -> dict[int, int]:
        """The CRC32C of each part that is there, thus of all that anybody has read by now."""
        with self._checksum_lock:
            return dict(self._checksums)

    def wait_unless(self, is_over: Callable[[], bool]) -> bool:
        """The same, for somebody who may lose his interest meanwhile; False as soon as he has."""
        while not (is_there := self.wait(_LOOK_SECONDS)) and not is_over():
            pass
        return is_there

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end(InterruptedError("nobody reads the file any more"))
        for thread in self._threads:
            thread.join()
        os.close(self._descriptor)
        self.map_path.unlink(missing_ok=True)

    def _fetch(self, first: bytes | None = None) -> None:
        try:
            if first is not None:
                self._add(0, first)
            while (part := self._next_part()) is not None:
                if part == _NOTHING_WANTED:
                    self._ended.wait(POLL_SECONDS)
                    continue
                start = part * PART_BYTES
                self._add(part, self._read(start, min(self._size, start + PART_BYTES)))
        except BaseException as error:  # raised again by `wait`
            self._end(error)

    def _next_part(self) -> int | None:
        """One that a reader waits for, else the first that is left; None where there is none, or it has ended.

        On demand, one that a reader is about to want comes second; _NOTHING_WANTED where there is none."""
        with self._lock:
            if self._is_ending or self._taken.find(0) < 0:
                return None
            wanted = self._map.wanted()
            if self._on_demand:
                wanted += [part + 1 for part in wanted if part + 1 < self._map.parts]
            part = next((part for part in wanted if not self._taken[part]), None)
            if part is None:
                if self._on_demand:
                    return _NOTHING_WANTED
                part = self._taken.find(0)
            self._taken[part] = 1
            return part

    def _add(self, part: int, data: bytes) -> None:
        start = part * PART_BYTES
        if len(data) != min(PART_BYTES, self._size - start):
            raise ConnectionError(f"{len(data)} bytes came instead of those from {start} on")
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, start)
            view, start = view[written:], start + written
        checksum = self._read_back(part)
        with self._checksum_lock:
            # Before anybody reads it: of what somebody has read, `checksums` has it.
            self._checksums[part] = checksum
            self._map.add(part)
            if len(self._checksums) < self._map.parts:
                return
            crc = whole_checksum([self._checksums[number] for number in range(self._map.parts)], self._size)
        self._check(crc)
        self._end(None)

    def _read_back(self, part: int) -> int:
        """The CRC32C of a part as it stands on the disk."""
        at, crc = part * PART_BYTES, 0
        end = min(self._size, at + PART_BYTES)
        while at < end:
            block = os.pread(self._descriptor, min(_CHECKSUM_BYTES, end - at), at)
            crc = google_crc32c.extend(crc, block)
            at += len(block)
        return crc

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            if self._is_ending:
                return
            self._is_ending, self._error = True, error
            self._map.end(complete=error is None)
        try:
            self._on_end(error)
        finally:
            self._ended.set()
