"""`python -m benchmarks.stages BUCKET NAME GENERATION`: each stage of the job alone, one after another, timed.

Runs in the environment of a worker, and prints one JSON object: stage -> seconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import gpu_job.__main__  # noqa: F401  # what a worker imports before its model
from benchmarks.engine_runs import through_local_engine
from dropscribe.local_media import inspected
from gpu_job import BEGAN
from gpu_job.assembly.assemble import Assembly, ChunkResult, transcript_of
from gpu_job.audio.chunker import chunks
from gpu_job.audio.decode import decode
from gpu_job.audit.findings import Findings
from gpu_job.fetch.upload import fetch
from gpu_job.settings import JobSettings
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from shared.enums import Engine
from shared.media import Upload
from shared.state.job_result import completed
from shared.transcript.model import Transcript

START_UP = "start-up"


def stages(services: JobServices, upload: Upload) -> Iterator[tuple[str, float]]:
    """Stage and seconds. Start-up is the process's own life until its model is loaded."""
    recognizer = services.load_model(Engine.PARAKEET_CPU)
    yield START_UP, time.monotonic() - BEGAN
    options, clock = services.settings.pipeline_options, _Clock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        with clock:
            settings = services.settings
            fetch(services.storage, upload, path, settings.fetch_timeout_seconds, settings.max_unpacked_bytes)
        yield "fetch", clock.seconds
        media = inspected(path)  # the function's part, and so not timed
        with clock:
            blocks = list(decode(path, replace(options.decoding, media=media)))
        yield "decode", clock.seconds
    with clock:
        cut = list(chunks(blocks, options.cuts))
    yield "cut", clock.seconds
    done = through_local_engine(recognizer, cut)
    yield "transcribe", done.wall_seconds
    with clock:
        _end(services, upload, done.parts, recognizer.name)
    yield "assemble, render and publish", clock.seconds


def assembled(upload: Upload, results: Sequence[ChunkResult], model: str, language: str) -> Transcript:
    """The results of one channel, not audited -> the transcript, as the job assembles it."""
    assembly = Assembly()
    for result in results:
        assembly.expect(result.start, result.end)
        assembly.add(result)
    assembly.end(max(result.end for result in results))
    return transcript_of(
        assembly, [Findings()], lambda _: model, job_id=upload.job_id, source=upload.uri, language=language
    )


def _end(services: JobServices, upload: Upload, parts: Sequence[ChunkResult], model: str) -> None:
    """Parts -> every result stored, and the message published."""
    transcript = assembled(upload, parts, model, services.settings.language)
    job = services.jobs.claim(upload, services.task.holder, timedelta(minutes=1))
    assert job is not None  # the upload is known to nobody else
    services.finisher.finish(job.record, completed(transcript))


class _Clock:
    """A stop-watch for `with`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began


def main() -> None:
    """Time the stages for one object."""
    services = job_services(JobSettings(), TaskIdentity("stages", 0, 0))
    bucket, name, generation = sys.argv[1:]
    print(json.dumps(dict(stages(services, Upload(bucket=bucket, name=name, generation=int(generation))))))


if __name__ == "__main__":
    main()
