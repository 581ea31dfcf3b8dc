"""What an answer of Deepgram becomes, without a call."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.costs.bill import Bill
from shared.deepgram import DeepgramResult
from shared.enums import Engine, Method
from shared.media import Media
from shared.messages import Decision
from shared.options.parsing import parse_upload_options
from shared.transcript.model import Passage, Transcript, WarningCode, Word
from tests.support.loopback_cloud import RESULTS, LoopbackCloud
from trigger_function.deepgram.answers import StoredAnswer
from trigger_function.deepgram_finish import finish_with
from trigger_function.services import Services

MEDIA = Media(container="wav", codec="pcm", duration_seconds=3, sample_rate_hz=16000, channels=1, size_bytes=9)
DECISION = Decision(method=Method.DEEPGRAM, rule="small", reason="Short.")


def finished(cloud: LoopbackCloud, services: Services, heard: tuple[int | None, ...], asked: str) -> Transcript:
    """The stored transcript of an upload of which Deepgram said who says each word."""
    job = services.jobs.claim(cloud.drop(b"", "a.wav"), "test", timedelta(minutes=5))
    assert job is not None
    options = parse_upload_options({"transcribe-speakers": asked})
    job = services.jobs.save(job, media=MEDIA, decision=DECISION, options=options)
    words = [Word(text="yes", start=at, end=at + 0.5, speaker=speaker) for at, speaker in enumerate(heard)]
    answer = DeepgramResult(Passage(Engine.DEEPGRAM, words), 3.0, 1, "request", "nova-3")
    finish_with(services, job.record, MEDIA, StoredAnswer(result=answer, price=Bill()))
    (message,) = cloud.terminal_messages()
    key = message.results["transcript.json"].removeprefix(f"gs://{RESULTS}/")
    return Transcript.model_validate_json(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


@pytest.mark.parametrize(
    ("heard", "asked", "warns"),
    [((None, None), "on", True), ((0, 0), "2", True), ((4, 2), "2", False), ((0, 0), "off", False)],
)
def test_a_transcript_warns_where_deepgram_did_not_tell_the_speakers_apart(
    cloud: LoopbackCloud, services: Services, heard: tuple[int | None, ...], asked: str, warns: bool
) -> None:
    transcript = finished(cloud, services, heard, asked)
    assert (WarningCode.UNKNOWN_SPEAKERS in [warning.code for warning in transcript.warnings]) is warns
