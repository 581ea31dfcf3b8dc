"""FFmpeg's description of a file that PyAV has opened: what PyAV itself does not show. Imports nothing but PyAV."""

from __future__ import annotations

import re
from threading import Lock

from av import logging
from av.container import InputContainer

_LOG_LEVEL = Lock()

_AUDIO_IN_DUMP = re.compile(r"^ *Stream #0:\d+\b[^\n]*?: Audio: ", re.MULTILINE)


def audio_stream_count(container: InputContainer) -> int:
    """How many audio streams FFmpeg knows by now: PyAV has those that were known when the file was opened."""
    return len(_AUDIO_IN_DUMP.findall(described(container)))


def described(container: InputContainer) -> str:
    """The lines that `ffmpeg -i` prints of it."""
    # PyAV passes FFmpeg's description on only while it passes messages on, for all threads at once.
    with _LOG_LEVEL:
        before = logging.get_level()
        logging.set_level(logging.INFO)
        try:
            dump: str = container.dumps_format()  # type: ignore[attr-defined]
        finally:
            logging.set_level(before)
    return dump
