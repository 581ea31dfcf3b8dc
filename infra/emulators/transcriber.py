"""`python -m infra.emulators.transcriber MODEL FD`: the process in which the Deepgram stand-in's model listens.

Each path that comes through the pipe FD is answered with a TranscribedFile or a failure, until the other end is closed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dropscribe.local_media import inspected
from gpu_job.asr.load_recognizer import RecognizerOptions
from gpu_job.asr.onnx.model_folder import is_onnx_folder
from gpu_job.audio.cuts import CutRules
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.open_engine import open_engine
from gpu_job.pipeline import transcribe
from gpu_job.transcription.setup import PipelineOptions
from infra.emulators.transcriber_process import TranscribedFile
from shared.deepgram_request import DeepgramRequest
from shared.enums import Channels, Engine
from shared.errors import DropscribeError
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount

BATCH_CHUNKS = 4
"""Chunks in a batch; together 80 s of audio at most."""

CUTS = CutRules(max_seconds=20.0)


def serve(model: str, pipe: Connection[Any, Any]) -> None:
    """Answer until the parent is gone."""
    # NeMo's telemetry is off, and says so in two warnings.
    logging.getLogger("nv_one_logger").addHandler(logging.NullHandler())
    with ExitStack() as stack, suppress(EOFError):
        engine: EngineChain | None = None
        while True:
            path, request = pipe.recv()
            try:
                # Loaded for the first recording; where that fails, the next one tries again.
                engine = engine if engine and engine.is_available else stack.enter_context(_engine(model))
                pipe.send(_transcribe(engine, path, request))
            except DropscribeError as failure:
                pipe.send(failure)


@contextmanager
def _engine(model: str) -> Iterator[EngineChain]:
    """The model on the CPU, as the job has it: of a published one the same files are fetched. The tiny one is in fp32,
    so that a recording's words do not depend on what else is transcribed."""
    if Path(model).exists() and not is_onnx_folder(Path(model)) and find_spec("torch") is not None:
        import torch

        # It runs on NeMo. The model is tiny, and a laptop's other cores have the job's work to do.
        torch.set_num_threads(1)
    options = RecognizerOptions(BATCH_CHUNKS, cpu_audio_seconds=BATCH_CHUNKS * CUTS.max_seconds)
    with open_engine(model, engine=Engine.PARAKEET_CPU, options=options) as engine:
        yield engine


def _transcribe(engine: EngineChain, path: Path, request: DeepgramRequest) -> TranscribedFile:
    media = inspected(path) if request.split else None
    options = PipelineOptions(cuts=CUTS, audit=None)
    asked = UploadOptions(
        channels=Channels.SPLIT if request.split else Channels.MIX,
        speakers=SpeakerCount() if request.speakers else None,
    )
    transcript = transcribe(path, engine=engine, asked=asked, media=media, options=options)
    return TranscribedFile(tuple(transcript.words), media.channels if media else 1, transcript.duration)


if __name__ == "__main__":
    serve(sys.argv[1], Connection(int(sys.argv[2])))
