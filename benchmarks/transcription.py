"""Files through the job's own pipeline, with what a benchmark wants to see of it: the result of every chunk."""

from __future__ import annotations

import atexit
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpu_job.asr.load_recognizer import RecognizerOptions
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audit.findings import Findings
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.open_engine import open_engine
from gpu_job.pipeline import FileTranscription, Pipeline, PipelineOptions, TranscriptionListener
from gpu_job.vad.detector import SpeechDetector
from infra.tiny_parakeet import MODEL_PATH
from shared.enums import Engine
from shared.transcript.model import Transcript

TIMEOUT_SECONDS = 1800.0
LONGEST_BATCH_SECONDS = 80.0
"""Audio in one batch on a CPU; a longer chunk is a batch of its own."""
TINY_OPTIONS = RecognizerOptions(32, cpu_audio_seconds=LONGEST_BATCH_SECONDS, precision="fp32")


@dataclass(frozen=True)
class Transcribed:
    """A file's transcript, the results it was made of, by time, and what the audit found."""

    transcript: Transcript
    results: list[ChunkResult]
    findings: Findings


class _Waiting(TranscriptionListener):
    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: Exception | None = None

    def complete(self) -> None:
        self.ended.set()

    def broke(self, error: Exception) -> None:
        self.error = error
        self.ended.set()


def transcribed(path: Path, engines: EngineChain, options: PipelineOptions) -> Transcribed:
    """One file of one channel. Raises TimeoutError, and what broke."""
    waiting = _Waiting()
    with ThreadPoolExecutor(1) as threads:
        file = FileTranscription(Pipeline(engines, options, SpeechDetector(), threads), path.name, waiting)
        file.feed(path)
        if not waiting.ended.wait(TIMEOUT_SECONDS):
            raise TimeoutError(f"{path.name} was not transcribed within {TIMEOUT_SECONDS:g} s")
    if waiting.error:
        raise waiting.error
    (findings,) = file.findings()
    return Transcribed(file.assemble(path.name, path.name), file.results(), findings)


@cache
def tiny_engine() -> EngineChain:
    """The tiny model on the CPU in fp32, until the process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(open_engine(str(MODEL_PATH), engine=Engine.PARAKEET_CPU, options=TINY_OPTIONS))
