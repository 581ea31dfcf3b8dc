"""Results of one attempt that no checkpoint holds yet, and when they may be stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from gpu_job.assembly.assemble import ChunkResult


class UnstoredResults:
    """Used from any thread: engines add results, the heartbeat stores them, whoever ends the attempt stops that."""

    def __init__(self, *, has_parts: bool) -> None:
        self.has_parts = has_parts
        """Whether something may be stored of this attempt, or an earlier one, that must be deleted in the end."""
        self._results: list[ChunkResult] = []
        self._lock = threading.Lock()
        self._store_lock = threading.Lock()
        self._is_arriving = False
        self._is_finishing = False

    def add(self, result: ChunkResult) -> None:
        """Keep a result for the next checkpoint."""
        with self._lock:
            self._results.append(result)

    def file_arrives(self) -> None:
        """The upload is being fetched: none of its results is stored before its checksum was found right."""
        self._is_arriving = True

    def file_is_checked(self) -> None:
        """It is there, with its checksum."""
        self._is_arriving = False

    def may_be_stored(self, result: ChunkResult) -> bool:
        """Whether it counts by now: while the file arrives, only what counts for the same samples alone."""
        return result.audio is not None or not self._is_arriving

    def take(self) -> list[ChunkResult]:
        """Those that may be stored; each is given out once."""
        taken: list[ChunkResult] = []
        with self._lock:
            results, self._results = self._results, []
            for one in results:
                # Asked once of each: the file may be checked meanwhile.
                (taken if self.may_be_stored(one) else self._results).append(one)
        return taken

    def put_back(self, results: Sequence[ChunkResult]) -> None:
        """Take results back that could not be stored: the next checkpoint has them."""
        with self._lock:
            self._results.extend(results)

    def store(self, results: Sequence[ChunkResult], store: Callable[[], None]) -> None:
        """Call `store`, which stores `results`, if there are any. While the job is being finished they are taken back
        instead."""
        with self._store_lock:
            if self._is_finishing:
                self.put_back(results)
            elif results:
                self.has_parts = True
                store()

    def guard(self, store: Callable[[], object]) -> bool:
        """Call `store`, which stores something else that is to be deleted in the end; False while the job is being
        finished."""
        with self._store_lock:
            if self._is_finishing:
                return False
            self.has_parts = True
            store()
            return True

    def begin_finishing(self) -> None:
        """From now on no checkpoint is stored: behind the finisher's last step nobody would delete it. Returns once
        one that is being stored is there."""
        with self._store_lock:
            self._is_finishing = True

    def finishing_failed(self) -> None:
        """The job is to be given back: the next attempt needs the checkpoints."""
        self._is_finishing = False
