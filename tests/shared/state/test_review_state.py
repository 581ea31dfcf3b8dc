"""State that is not as the newest writer left it: an earlier finisher's transcript, a marker nobody can read."""

from __future__ import annotations

from datetime import timedelta

from shared.enums import Engine, Outcome
from shared.media import Upload
from shared.state.finisher import completed
from shared.transcript.model import Coverage, Gap, Passage, Transcript, Word, compose
from tests.support.loopback_cloud import RESULTS, LoopbackCloud
from trigger_function.services import Services

UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=1)
GAP = Gap(start=1, end=3, reason="The engine failed.")


def transcript(*gaps: Gap) -> Transcript:
    heard = Passage(Engine.PARAKEET_CPU, [Word(text="Hello.", start=0.0, end=0.5)])
    coverage = Coverage(speech_seconds=3, covered_seconds=3 - 2 * len(gaps), gaps=gaps)
    return compose(
        job_id=UPLOAD.job_id,
        source=UPLOAD.uri,
        duration=3,
        language="en",
        model="m",
        passages=[heard],
        coverage=coverage,
    )


def test_the_outcome_has_the_gaps_of_the_transcript_that_is_stored(cloud: LoopbackCloud, services: Services) -> None:
    job = services.jobs.claim(UPLOAD, "me", timedelta(minutes=1))
    assert job is not None
    # A first finisher stored its transcript, and was killed before its outcome stood.
    blob = cloud.storage.bucket(RESULTS).blob("calls/a.mp3/1/transcript.json")
    blob.upload_from_string(transcript(GAP).model_dump_json())
    message = services.finisher.finish(job.record, completed(transcript()))
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert message.coverage is not None
    assert message.coverage.gaps == (GAP,)
    assert Transcript.model_validate_json(blob.download_as_bytes()).coverage.gaps == (GAP,)


def test_a_marker_that_cannot_be_read_hides_no_other(services: Services) -> None:
    services.state.blob("open/000.json").upload_from_string(b"not a marker")
    assert services.jobs.claim(UPLOAD, "me", timedelta(minutes=1))
    assert [opened.upload for opened in services.jobs.open_jobs()] == [UPLOAD]
