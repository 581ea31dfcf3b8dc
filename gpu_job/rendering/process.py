"""Render long transcripts in another process: in the worker's own it would keep the engine from its interpreter."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import islice

from gpu_job.audio.decoder_process.command import child_environment, module_command
from gpu_job.rendering.answer import read_file
from gpu_job.rendering.parts import write_parts
from gpu_job.rendering.request import write_transcript
from shared.enums import ResultFormat
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.model import Transcript
from shared.transcript.render import InPieces, Rendered, in_pieces, render

LEAST_WORDS = 1_500
"""A shorter transcript, of ten minutes, is rendered in 60 ms: most uploads need no second process."""

MOST_KEPT_WORDS = 50_000
"""A longer one, of five hours, has a process of its own: ours would keep memory that it needed for that one only."""

LIMIT_SECONDS = 300.0
"""For each file: ten days of speech take this long for all. Past it the worker renders by itself."""

_log = logging.getLogger(__name__)


class RenderingProcess:
    """Started with the first long transcript. From any thread; one transcript at a time."""

    def __init__(self, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(
        self, transcript: Transcript, rules: SubtitleRules, formats: Collection[ResultFormat] = tuple(ResultFormat)
    ) -> Iterable[Rendered | InPieces]:
        """As `shared.transcript.render.render`. Where the process fails, this one does its work.

        Of a transcript with more than MOST_KEPT_WORDS each file is made when it is asked for, JSON files in pieces, by
        a process that ends behind the last one.
        """
        if len(transcript.words) < LEAST_WORDS:
            return render(transcript, rules, formats)
        if len(transcript.words) > MOST_KEPT_WORDS:
            return self._one_by_one(transcript, rules, formats)
        with self._lock:
            self._process = self._process or _start()
            try:
                return tuple(file.joined() for file in self._rendered(self._process, transcript, rules, formats))
            except (OSError, EOFError, ValueError) as error:
                _warn(error)
                self._end()
        return render(transcript, rules, formats)

    def close(self) -> None:
        """End the process; the next long transcript starts another one."""
        with self._lock:
            self._end()

    def _one_by_one(
        self, transcript: Transcript, rules: SubtitleRules, formats: Collection[ResultFormat]
    ) -> Iterator[Rendered | InPieces]:
        process, given = _start(), 0
        try:
            for file in self._rendered(process, transcript, rules, formats):
                if isinstance(file, InPieces):
                    own = islice(in_pieces(transcript, rules, formats), given, None)
                    pieces = _until_it_fails(file.pieces, own)
                    yield replace(file, pieces=pieces)
                    deque(pieces, maxlen=0)  # what nobody needed of it, for the next file stands behind it
                else:
                    yield file
                del file  # while the next one comes
                given += 1
            return
        except (OSError, EOFError, ValueError) as error:
            _warn(error)
        finally:
            _kill(process)
        yield from islice(in_pieces(transcript, rules, formats), given, None)

    def _rendered(
        self,
        process: subprocess.Popen[bytes],
        transcript: Transcript,
        rules: SubtitleRules,
        formats: Collection[ResultFormat],
    ) -> Iterator[Rendered | InPieces]:
        """Raises OSError, EOFError or ValueError where the process fails, or takes too long for a file or a piece; so
        do the pieces, which are to be read before the next file."""
        assert process.stdin is not None  # opened as a pipe
        assert process.stdout is not None  # opened as a pipe
        with self._limited(process):
            write_parts(process.stdin, [json.dumps({"rules": asdict(rules), "formats": list(formats)}).encode()])
            write_transcript(process.stdin, transcript)
        while True:
            with self._limited(process):
                file = read_file(process.stdout)
            if file is None:
                return
            yield replace(file, pieces=self._each_limited(process, file.pieces)) if isinstance(file, InPieces) else file
            del file

    def _each_limited(self, process: subprocess.Popen[bytes], pieces: Iterable[bytes]) -> Iterator[bytes]:
        given = iter(pieces)
        while True:
            with self._limited(process):
                piece = next(given, None)
            if piece is None:
                return
            yield piece

    @contextmanager
    def _limited(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Kill the process where what is done inside takes too long."""
        timer = threading.Timer(self._limit_seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        module_command("gpu_job.rendering"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(os.environ),
    )


def _until_it_fails(pieces: Iterable[bytes], own: Iterator[Rendered | InPieces]) -> Iterator[bytes]:
    """The process's pieces; where it fails in the middle of a file, the rest of `own`, which is the same."""
    given = 0
    try:
        for piece in pieces:
            yield piece
            given += 1
        return
    except (OSError, EOFError, ValueError) as error:
        _warn(error)
    file = next(own)
    yield from islice(file.pieces if isinstance(file, InPieces) else (file.data,), given, None)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it had not taken
                pipe.close()


def _warn(error: Exception) -> None:
    _log.warning("rendering process failed", extra={"fields": {"why": f"{type(error).__name__}: {error}"}})
