"""Bad input through the whole path, from the finished upload to its terminal message: every kind has one outcome.

All files go through the real function and lie on one queue; one worker with the tiny model empties it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import kaldialign
import pytest

from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from infra.recordings import TrueWord
from infra.tiny_parakeet import ONNX_PATH
from shared.enums import Outcome
from shared.errors import FailureKind
from shared.messages import TerminalMessage
from shared.transcript.model import Transcript, Word
from tests.support.loopback_cloud import RESULTS, WORK_TOPIC, LoopbackCloud, loopback_cloud
from tests.support.odd_files import DAMAGE, INPUTS, LECTURE, LONG, LONG_SECONDS, MEMO, METADATA, SILENT_HOURS
from tests.support.word_alignment import all_plain
from tests.support.worker_services import worker_services
from trigger_function.handle_upload import handle
from trigger_function.services import services_from_environment

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")


@dataclass(frozen=True)
class End:
    """What became of one input."""

    message: TerminalMessage
    stored: Transcript | None

    @property
    def transcript(self) -> Transcript:
        assert self.stored is not None, self.message.reason
        return self.stored


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory, service_account: tuple[Path, bytes]) -> Iterator[dict[str, End]]:
    """Every input's end, by name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("GOOGLE_", "GCLOUD_", "CLOUDSDK_", "DEEPGRAM_", "CLOUD_RUN_")):
                patch.delenv(name)
        patch.setenv("PARAKEET_MODEL_NAME", str(ONNX_PATH))
        patch.setenv("WORK_IDLE_SECONDS", "0")
        patch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
        with loopback_cloud(tmp_path_factory.mktemp("cloud"), patch.setenv, *service_account) as cloud:
            drop_all(cloud, tmp_path_factory.mktemp("inputs"))
            # The function knows of a job with a GPU; this worker has none.
            patch.setenv("JOB_GPU", "none")
            work_through(cloud)
            messages = cloud.terminal_messages()
            assert len(messages) == len(INPUTS)
            yield {message.upload.name: End(message, stored(cloud, message)) for message in messages}


def drop_all(cloud: LoopbackCloud, folder: Path) -> None:
    with worker_services():  # puts logging back in place
        services_from_environment.cache_clear()
        function = services_from_environment()
        for number, (name, made) in enumerate(INPUTS.items()):
            own = folder / str(number)
            own.mkdir()
            handle(function, cloud.drop(made(own).read_bytes(), name, METADATA.get(name)))
        function.publisher.stop()
        services_from_environment.cache_clear()


def work_through(cloud: LoopbackCloud) -> None:
    with worker_services() as services:
        subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
        assert Worker(services, subscription, Billing(Meter(time.monotonic()), services)).run()


def stored(cloud: LoopbackCloud, message: TerminalMessage) -> Transcript | None:
    uri = message.results.get("transcript.json")
    if uri is None:
        return None
    blob = cloud.storage.bucket(RESULTS).blob(uri.removeprefix(f"gs://{RESULTS}/"))
    return Transcript.model_validate_json(blob.download_as_bytes())


def errors(truth: Iterable[TrueWord], words: Iterable[Word]) -> int:
    """Words lost, made up or misheard."""
    said, recognized = all_plain(word.word for word in truth), all_plain(word.text for word in words)
    return int(kaldialign.edit_distance(said, recognized)["total"])


WHOLE = [
    "not numbers",
    "clipped",
    "with an offset",
    "over the phone",
    "in the cinema",
    "states too little",
    "states the impossible",
]


@pytest.mark.parametrize("name", WHOLE)
def test_odd_sound_has_all_its_words(ends: dict[str, End], name: str) -> None:
    message, transcript = ends[name].message, ends[name].transcript
    assert (message.outcome, message.reason) == (Outcome.COMPLETED, None)
    assert errors(MEMO.words, transcript.words) <= 1
    assert transcript.duration == pytest.approx(MEMO.duration, abs=0.15)
    assert (transcript.coverage.audited, transcript.coverage.share, transcript.coverage.gaps) == (True, 1.0, ())
    assert transcript.coverage.dropped_words == 0


@pytest.mark.parametrize(
    ("name", "seconds"), [("one sample", 1 / SAMPLE_RATE), ("long silence", 3600.0 * SILENT_HOURS)]
)
def test_where_nobody_speaks_the_transcript_is_complete_and_empty(
    ends: dict[str, End], name: str, seconds: float
) -> None:
    message, transcript = ends[name].message, ends[name].transcript
    assert (message.outcome, transcript.text, transcript.words) == (Outcome.COMPLETED, "", ())
    assert transcript.duration == pytest.approx(seconds, abs=0.001)
    coverage = transcript.coverage
    assert (coverage.audited, coverage.speech_seconds, coverage.gaps) == (True, 0.0, ())


def test_what_the_header_states_and_is_not_there_is_a_gap(ends: dict[str, End]) -> None:
    message, transcript = ends["states too much"].message, ends["states too much"].transcript
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert errors(MEMO.words, transcript.words) <= 1
    (gap,) = transcript.coverage.gaps
    assert (gap.start, gap.end) == pytest.approx((MEMO.duration, 2 * MEMO.duration), abs=0.1)
    assert "cannot be read" in gap.reason
    assert transcript.coverage.share < 0.6


def test_after_a_change_of_the_sample_rate_words_and_times_go_on(ends: dict[str, End]) -> None:
    message, transcript = ends["changing rate"].message, ends["changing rate"].transcript
    assert message.outcome is Outcome.COMPLETED
    once = len(MEMO.words)
    assert errors([*MEMO.words, *MEMO.words], transcript.words) <= 1
    assert transcript.words[-once].start - transcript.words[0].start == pytest.approx(MEMO.duration, abs=0.3)


def test_a_damaged_stretch_is_a_gap_between_words(ends: dict[str, End]) -> None:
    message, transcript = ends["damaged inside"].message, ends["damaged inside"].transcript
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    (gap,) = transcript.coverage.gaps
    assert "damaged" in gap.reason
    begin, end = (share * LONG_SECONDS for share in DAMAGE)
    assert begin - 2 < gap.start < gap.end < end + 2
    true = [word for word in LONG.words if word.end < LONG_SECONDS]
    around = [word for word in true if word.end <= gap.start or word.start >= gap.end]
    assert errors(around, transcript.words) <= 4
    assert not [word for word in transcript.words if gap.start < word.start and word.end < gap.end]
    assert message.coverage is not None
    assert message.coverage.gaps[0].start == pytest.approx(gap.start, abs=0.001)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("damaged header", "its header is cut off or cannot be read"),
        ("header alone", "No audio could be decoded from the file"),
    ],
)
def test_what_cannot_be_read_is_rejected_and_says_why(ends: dict[str, End], name: str, reason: str) -> None:
    message = ends[name].message
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.BAD_MEDIA)
    assert reason in (message.reason or "")
    assert ends[name].stored is None


def test_channels_apart_are_speakers(ends: dict[str, End]) -> None:
    message, transcript = ends["two speakers"].message, ends["two speakers"].transcript
    assert message.outcome is Outcome.COMPLETED
    for speaker, truth in enumerate((MEMO, LECTURE)):
        own = [word for word in transcript.words if word.speaker == speaker]
        assert errors(truth.words, own) <= 1
        assert own[0].start == pytest.approx(truth.words[0].start, abs=0.3)
        assert own[-1].end == pytest.approx(truth.words[-1].end, abs=0.5)
        spoken = " ".join(segment.text for segment in transcript.segments if segment.speaker == speaker)
        assert spoken.split() == [word.text for word in own]
    assert {word.speaker for word in transcript.words} == {0, 1}


def test_times_never_run_backwards_and_lie_inside_the_audio(ends: dict[str, End]) -> None:
    transcripts = [end.stored for end in ends.values() if end.stored]
    assert len(transcripts) == len(INPUTS) - 2
    for transcript in transcripts:
        starts = [word.start for word in transcript.words]
        assert starts == sorted(starts)
        assert all(0 <= word.start <= word.end <= transcript.duration for word in transcript.words)
