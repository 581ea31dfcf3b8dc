"""Count the packets of a file's track, or of a part of it, beside its decoding: whether all of them were heard."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import CountedPart, PacketTimes
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_stream import DecoderStream

_log = logging.getLogger(__name__)


class PacketCounter:
    """Counts in a process of its own from the beginning on. A context manager: on the way out it is ended."""

    def __init__(self, path: Path, options: DecodeOptions, part: tuple[int, int | None] | None = None) -> None:
        """`options`: of them the limits, the track and the arrival of the file count. `part`: the seconds in which the
        packets begin that are counted; None: all of the file."""
        self.counted: CountedPart | None = None
        """None until it is done, and where they could not be counted."""
        self._is_left = False
        self._child = DecoderStream(path, options).counting(part)
        self._thread = threading.Thread(target=self._read, name="packets", daemon=True)
        self._thread.start()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it is done by then, or could not count."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._is_left = True
        self._child.kill()
        self._thread.join()
        self._child.__exit__(kind, error, where)

    def _read(self) -> None:
        try:
            for record in self._child.records():
                if isinstance(record, PacketTimes):
                    self.counted = CountedPart(record)
                elif isinstance(record, CountedPart):
                    self.counted = record
        except DecoderFailed as error:
            if not self._is_left:
                _log.warning("packets not counted", extra={"fields": {"reason": error.reason}})
        except Exception:
            _log.warning("packets not counted", exc_info=True)
