"""A file with key terms: the transcript says what became of them, by the model that was used."""

from __future__ import annotations

from pathlib import Path

from gpu_job.engines.open_engine import open_engine
from gpu_job.pipeline import transcribe
from gpu_job.transcription.setup import PipelineOptions
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from shared.enums import Engine
from shared.keyterms.terms import parse_keyterms
from shared.options.model import UploadOptions


def test_a_transcript_reports_on_the_terms() -> None:
    path: Path = recording("memo.wav").path
    options = PipelineOptions(audit=None)
    with open_engine(str(ONNX_PATH)) as engine:
        plain = transcribe(path, engine=engine, options=options)
        word = max((word.text.strip(".,?!") for word in plain.words), key=len)
        terms = parse_keyterms(f"{word}; Kubernetes; 東京")
        found = transcribe(path, engine=engine, asked=UploadOptions(keyterms=terms), options=options)
    assert plain.keyterms is None
    assert found.keyterms is not None
    assert [term.heard > 0 for term in found.keyterms.terms] == [True, False, False]
    (support,) = found.keyterms.engines
    assert (support.engine, support.favoured, support.left_out) == (Engine.PARAKEET_CPU, True, ("東京",))
