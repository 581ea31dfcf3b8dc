"""Count the packets of a file's track, which is decoded elsewhere, to see whether all that has packets was heard."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import Account, PacketTimes
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_stream import DecoderStream
from gpu_job.audio.packet_check import HeardSound, lost_by_packets

_log = logging.getLogger(__name__)


class PacketCounter:
    """Counts in a process of its own from the beginning on. A context manager: on the way out it is ended."""

    def __init__(self, path: Path, options: DecodeOptions) -> None:
        """`options`: of them the limits, the track and the arrival of the file count."""
        self._packets: PacketTimes | None = None
        self._child = DecoderStream(path, options).counting()
        self._thread = threading.Thread(target=self._read, name="packets", daemon=True)
        self._thread.start()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it is done by then, or could not count."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def hears_all(self, heard: HeardSound) -> bool:
        """Whether this is all that has packets; False where they could not be counted. Ask when it is done."""
        if self._packets is None:
            return False
        account = Account(0, 0.0, 0.0, 0, 1, heard.frames, 0.0, None)
        return not lost_by_packets(self._packets, account, heard, ())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._child.kill()
        self._thread.join()
        self._child.__exit__(kind, error, where)

    def _read(self) -> None:
        try:
            for record in self._child.records():
                if isinstance(record, PacketTimes):
                    self._packets = record
        except DecoderFailed as error:
            _log.warning("packets not counted", extra={"fields": {"reason": error.reason}})
        except Exception:
            _log.warning("packets not counted", exc_info=True)
