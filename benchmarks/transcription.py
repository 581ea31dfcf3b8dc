"""Files through the job's own pipeline, with what a benchmark wants to see of it: the result of every chunk."""

from __future__ import annotations

import atexit
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
from gpu_job.pipeline import FileTranscription
from gpu_job.transcription.listener import BlockingListener
from gpu_job.transcription.setup import Pipeline, PipelineOptions
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


def transcribed(path: Path, engines: EngineChain, options: PipelineOptions) -> Transcribed:
    """One file of one channel. Raises TimeoutError, EngineFailed, and what broke."""
    listener = BlockingListener()
    with ThreadPoolExecutor(1) as threads:
        file = FileTranscription(Pipeline(engines, options, SpeechDetector(), threads), path.name, listener)
        file.feed(path)
        listener.wait(engines, TIMEOUT_SECONDS, on_poll=file.fail_lost_chunks)
    (findings,) = file.findings()
    return Transcribed(file.assemble(path.name, path.name), file.results(), findings)


@cache
def tiny_engine() -> EngineChain:
    """The tiny model on the CPU in fp32, until the process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(open_engine(str(MODEL_PATH), engine=Engine.PARAKEET_CPU, options=TINY_OPTIONS))
