"""A word's end is heard up to 0.5 s early, and how much depends on where the engine's frames of 80 ms begin.

So it depends on the chunk's first sample; where two engines share an upload, that is another one at each speed.
"""

from __future__ import annotations

import numpy as np

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.load import load
from gpu_job.asr.tokens import Token
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audit.queries import VadQuery
from gpu_job.vad.detector import SpeechDetector
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from tests.support.finished_audit import finished_audit, on_upload_clock

PAUSE = 150.25
"""Here a chunk of the ten minutes ends behind "Maria.", and silence begins. In seconds, as all below."""
FIRST, FRAME, STEP = 142.58, 0.08, 0.01


def test_no_place_of_the_frames_makes_the_end_of_a_word_speech_without_words() -> None:
    model, detector = load(ONNX_PATH, "fp32", BatchLimits(1, 40 * SAMPLE_RATE)), SpeechDetector()
    samples = np.concatenate(list(decode(recording("long_seen").path)))

    def heard(chunk: Chunk) -> list[Token]:
        return on_upload_clock(chunk, model.transcribe([chunk.samples])[0])

    def speech(window: Chunk, query: VadQuery) -> list[tuple[float, float]]:
        return detector.speech(window.samples, query.detection)

    heard_again = 0.0
    for start in np.arange(FIRST, FIRST + FRAME - STEP / 2, STEP):
        begin = round(start * SAMPLE_RATE)
        chunk = Chunk(begin, samples[begin : round(PAUSE * SAMPLE_RATE)])
        findings = finished_audit([chunk], heard, speech=speech).findings
        assert (findings.gaps, findings.splices) == ([], [])
        heard_again += findings.retranscribed_seconds
    assert heard_again > 0, "no end was heard so early that it had to be heard again"
