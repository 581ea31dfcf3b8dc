"""Render long transcripts in another process: in the worker's own it would keep the engine from its interpreter."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict

from gpu_job.audio.decoder_child import child_environment
from gpu_job.rendering.parts import read_parts, write_parts
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.model import Transcript
from shared.transcript.render import Rendered, render

LEAST_WORDS = 1_500
"""A shorter transcript, of ten minutes, is rendered in 60 ms: most uploads need no second process."""

MOST_KEPT_WORDS = 50_000
"""Behind a longer one, of five hours, the process is ended: it would keep memory that it needed for that one only."""

LIMIT_SECONDS = 300.0
"""Ten days of speech take this long; past it the worker renders by itself."""

_log = logging.getLogger(__name__)


class RenderingProcess:
    """Started with the first long transcript. From any thread; one transcript at a time."""

    def __init__(self, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(self, transcript: Transcript, rules: SubtitleRules) -> tuple[Rendered, ...]:
        """As `shared.transcript.render.render`. Where the process fails, this one does its work."""
        if len(transcript.words) < LEAST_WORDS:
            return render(transcript, rules)
        with self._lock:
            try:
                files = self._rendered(transcript, rules)
            except (OSError, EOFError, ValueError) as error:
                _log.warning("rendering process failed", extra={"fields": {"why": f"{type(error).__name__}: {error}"}})
                self._end()
                files = None
            if len(transcript.words) > MOST_KEPT_WORDS:
                self._end()
        return render(transcript, rules) if files is None else files

    def close(self) -> None:
        """End the process; the next long transcript starts another one."""
        with self._lock:
            self._end()

    def _rendered(self, transcript: Transcript, rules: SubtitleRules) -> tuple[Rendered, ...]:
        process = self._process = self._process or subprocess.Popen(
            [sys.executable, "-B", "-s", "-P", "-m", "gpu_job.rendering"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(os.environ),
        )
        assert process.stdin is not None  # opened as a pipe
        assert process.stdout is not None  # opened as a pipe
        timer = threading.Timer(self._limit_seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            write_parts(process.stdin, [transcript.model_dump_json().encode(), json.dumps(asdict(rules)).encode()])
            parts = read_parts(process.stdout)
        finally:
            timer.cancel()
        names, types, data = parts[::3], parts[1::3], parts[2::3]
        return tuple(
            Rendered(name.decode(), kind.decode(), content)
            for name, kind, content in zip(names, types, data, strict=True)
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it had not taken
                    pipe.close()
