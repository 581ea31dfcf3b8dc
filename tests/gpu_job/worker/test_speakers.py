"""A worker whose upload asks who speaks: names and times in the transcript, and no line on the bill for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.costs.bill import LineItemKind, deepgram_bill
from shared.messages import Receipt, TerminalMessage
from shared.options.parsing import parse_upload_options
from shared.state.jobs.record import Job
from shared.transcript.model import Transcript
from shared.voices.store import VoiceRefused, add_voice, job_voices
from tests.support.fixed_word_worker import AUDIO, FixedWordServices, fixed_word_services, queued, worker
from tests.support.loopback_cloud import RESULTS, STATE, WORK_TOPIC, LoopbackCloud

CHANGE = next(word.start for word in recording("call.opus").words if word.word == "The")
"""Of the recording's two voices, the second one begins here."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield made


def result(cloud: LoopbackCloud, message: TerminalMessage, name: str) -> bytes:
    key = message.results[name].removeprefix(f"gs://{RESULTS}/")
    return bytes(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


def ended(cloud: LoopbackCloud, services: FixedWordServices, job: Job, **metadata: str) -> TerminalMessage:
    """The outcome of an upload that has these options."""
    options = {f"transcribe-{name.replace('_', '-')}": value for name, value in metadata.items()}
    services.jobs.save(job, options=parse_upload_options(options))
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    return message


def test_a_transcript_says_who_speaks_and_the_bill_is_for_the_execution_alone(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    message = ended(cloud, services, queued(cloud, services, "call.opus"), speakers="on", speaker_names="Ann, Ben")
    transcript = Transcript.model_validate_json(result(cloud, message, "transcript.json"))
    assert [(one.number, one.name) for one in transcript.speakers] == [(0, "Ann"), (1, "Ben")]
    assert all(one.seconds > 3 for one in transcript.speakers)
    assert {word.speaker for word in transcript.words if word.end < CHANGE - 0.6} == {0}
    assert {word.speaker for word in transcript.words if word.start > CHANGE + 0.6} <= {1, None}
    assert not [name for name in cloud.names(STATE) if "voices" in name]  # keeping voices is an opt-in
    assert "Ben: Hello." in result(cloud, message, "transcript.txt").decode()

    receipt = Receipt.model_validate_json(result(cloud, message, "receipt.json"))
    assert receipt.bill == message.bill
    assert receipt.bill.usd > 0
    # The words are fixed, so that their engine takes no time: whoever tells speakers apart is waited for.
    assert any(item.resource == "cloud run cpu (telling speakers apart)" for item in receipt.bill.items)
    assert LineItemKind.DEEPGRAM not in {item.kind for item in receipt.bill.items}
    assert receipt.saving is not None
    # What Deepgram would have cost, which tells speakers apart for money.
    deepgram = deepgram_bill(
        services.settings.deepgram_model, transcript.duration, len(AUDIO), services.prices, speakers=True
    )
    assert receipt.saving.deepgram_usd == pytest.approx(deepgram.usd, rel=1e-3)  # times are rounded


def test_a_channel_transcribed_by_itself_is_one_speaker_whoever_talks_in_it(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    message = ended(cloud, services, queued(cloud, services, "call.opus"), speakers="on", channels="split")
    transcript = Transcript.model_validate_json(result(cloud, message, "transcript.json"))
    assert len({word.speaker for word in transcript.words}) == 1
    assert transcript.speakers == ()


@pytest.fixture(scope="module")
def long_call(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The call of two voices twice: the second one speaks for long enough to be known again."""
    path = tmp_path_factory.mktemp("call") / "call.ogg"
    source = str(recording("call.opus").path)
    command = [get_ffmpeg_exe(), "-v", "error", "-stream_loop", "1", "-i", source, "-c:a", "libopus", str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


def test_a_kept_voice_names_a_speaker_of_later_uploads_in_its_folder_alone(
    cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch, long_call: bytes
) -> None:
    for name, value in {"WORK_IDLE_SECONDS": "0", "JOB_GPU": "none", "WORK_SUBSCRIPTION": f"{WORK_TOPIC}-test"}.items():
        monkeypatch.setenv(name, value)

    def run(*names: str, **metadata: str) -> dict[str, Transcript]:
        with fixed_word_services() as services:
            for name in names:
                job = queued(cloud, services, name, 38.0, long_call)
                services.jobs.save(job, options=parse_upload_options({"transcribe-speakers": "2", **metadata}))
            assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
        messages = {one.upload.name: one for one in cloud.terminal_messages()}
        return {
            name: Transcript.model_validate_json(result(cloud, messages[name], "transcript.json")) for name in names
        }

    state = cloud.storage.bucket(STATE)
    monkeypatch.setenv("KEPT_VOICES", "on")
    (first,) = run("calls/first.ogg").values()
    assert [(one.name, one.voice_score) for one in first.speakers] == [("Speaker 0", None), ("Speaker 1", None)]
    add_voice(state, first.job_id, 1, "Ben")
    with pytest.raises(VoiceRefused, match="it has 1"):
        add_voice(state, first.job_id, 0, "Ann")  # less than LEAST_VOICE_SECONDS of her was heard
    found = run("calls/again.ogg", "other/again.ogg", **{"transcribe-speaker-names": "Eve"})
    eve, ben = found["calls/again.ogg"].speakers
    assert (eve.name, eve.voice_score) == ("Eve", None)  # what the owner says goes before whom they sound like
    assert (ben.name, ben.voice_score) == ("Ben", pytest.approx(1.0, abs=0.02))
    assert [one.name for one in found["other/again.ogg"].speakers] == ["Eve", "Speaker 1"]
    stored = job_voices(state, found["other/again.ogg"].job_id)
    assert stored is not None
    assert (stored.folder, [(one.number, one.name) for one in stored.speakers]) == ("other", [(1, "Speaker 1")])
