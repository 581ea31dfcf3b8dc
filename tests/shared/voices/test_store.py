"""Kept voices in the state bucket: added from a job, one more sample each time, and gone with the job that they came
from."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared import objects
from shared.enums import Engine
from shared.state.job_result import completed
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Word
from shared.voices.model import MOST_SAMPLES, MOST_VOICES, JobSpeaker, JobVoices, KeptVoice, Voice, VoiceFolder
from shared.voices.store import (
    VoiceRefused,
    add_voice,
    all_kept_voices,
    delete_voice,
    forget_job,
    kept_voices,
    kept_voices_name,
    rename_voice,
    store_job_voices,
)
from tests.support.loopback_cloud import STATE, LoopbackCloud
from trigger_function.services import Services

VOICE = Voice(model="network/1", seconds=12.5, embedding=(0.6, 0.8))


def heard(cloud: LoopbackCloud, job: str, folder: str = "calls", speakers: int = 2) -> None:
    """A job whose speakers have voices."""
    found = tuple(JobSpeaker(number=at, name=f"Speaker {at}", voice=VOICE) for at in range(speakers))
    store_job_voices(cloud.storage.bucket(STATE), job, JobVoices(folder=folder, speakers=found))


def test_a_voice_is_kept_for_its_jobs_folder_alone_and_named_by_what_it_came_from(cloud: LoopbackCloud) -> None:
    state = cloud.storage.bucket(STATE)
    heard(cloud, "one")
    heard(cloud, "two")
    add_voice(state, "one", 1, "Ann")
    add_voice(state, "one", 1, "Ann")  # once more: the same sample
    (ann,) = add_voice(state, "two", 0, "Ann").voices
    assert [(one.job_id, one.speaker, one.embedding) for one in ann.samples] == [
        ("one", 1, (0.6, 0.8)),
        ("two", 0, (0.6, 0.8)),
    ]
    assert ann.seconds == 25.0
    assert kept_voices(state, "calls").voices == (ann,)
    assert kept_voices(state, "other").voices == ()
    add_voice(state, "one", 0, "Ben", folder="other")
    assert {one.folder: [voice.name for voice in one.voices] for one in all_kept_voices(state)} == {
        "calls": ["Ann"],
        "other": ["Ben"],
    }


def test_what_is_not_there_is_refused_with_what_is(cloud: LoopbackCloud) -> None:
    state = cloud.storage.bucket(STATE)
    with pytest.raises(VoiceRefused, match="KEPT_VOICES was off"):
        add_voice(state, "none", 0, "Ann")
    heard(cloud, "one")
    with pytest.raises(VoiceRefused, match="no voice of a speaker 2; it has 0, 1"):
        add_voice(state, "one", 2, "Ann")
    add_voice(state, "one", 0, "Ann")
    add_voice(state, "one", 1, "Ben")
    with pytest.raises(VoiceRefused, match="already"):
        rename_voice(state, "calls", "Ann", "Ben")
    with pytest.raises(VoiceRefused, match="no voice 'Eve'"):
        delete_voice(state, "calls", "Eve")
    assert [voice.name for voice in rename_voice(state, "calls", "Ann", "Anna").voices] == ["Anna", "Ben"]
    assert [voice.name for voice in delete_voice(state, "calls", "Anna").voices] == ["Ben"]


@pytest.mark.parametrize(
    ("changes", "engine", "why"),
    [
        ({}, Engine.PARAKEET_GPU, None),
        ({"run": 2}, Engine.PARAKEET_GPU, "of its run 1; run 2 has none"),
        ({}, None, "has not ended"),
        ({"deepgram_calls": 1}, Engine.DEEPGRAM, "numbers its speakers otherwise"),
        ({"deepgram_calls": 1}, Engine.PARAKEET_GPU, None),
        ({}, Engine.DEEPGRAM, None),  # the job's chunks, whose speakers it told apart
    ],
    ids=["its own", "an earlier run's", "unfinished", "the function's call", "after a call", "chunks"],
)
def test_a_number_of_another_transcript_is_refused(
    cloud: LoopbackCloud, services: Services, changes: dict[str, int], engine: Engine | None, why: str | None
) -> None:
    upload = cloud.drop(b"some bytes", "calls/a.mp3")
    heard(cloud, upload.job_id)
    job = services.jobs.claim(upload, "worker", timedelta(minutes=10))
    assert job is not None
    job = services.jobs.save(job, **changes)
    if engine is not None:
        words = [Passage(engine, [Word(text="one", start=0.1, end=0.5)])]
        transcript = compose(job_id="j", source="s", duration=1, language="en", model="m", passages=words)
        services.finisher.finish(job.record, completed(transcript))
    state = cloud.storage.bucket(STATE)
    if why is None:
        assert add_voice(state, upload.job_id, 1, "Ann").voices
        return
    with pytest.raises(VoiceRefused, match=why):
        add_voice(state, upload.job_id, 1, "Ann")
    assert list(all_kept_voices(state)) == []


def test_there_are_so_many_voices_and_recordings_of_one_at_most(cloud: LoopbackCloud) -> None:
    state = cloud.storage.bucket(STATE)
    heard(cloud, "one", speakers=MOST_SAMPLES + 1)
    for number in range(MOST_SAMPLES):
        (ann,) = add_voice(state, "one", number, "Ann").voices
    with pytest.raises(VoiceRefused, match="the most"):
        add_voice(state, "one", MOST_SAMPLES, "Ann")
    full = VoiceFolder(
        folder="calls",
        voices=tuple(KeptVoice(name=f"P{number}", samples=ann.samples[:1]) for number in range(MOST_VOICES)),
    )
    objects.write(state, kept_voices_name("calls"), full.model_dump_json().encode())
    with pytest.raises(VoiceRefused, match="the most"):
        add_voice(state, "one", 0, "Ann")


def test_an_erased_job_leaves_nothing_in_any_kept_voice(cloud: LoopbackCloud) -> None:
    state = cloud.storage.bucket(STATE)
    heard(cloud, "one")
    heard(cloud, "two")
    add_voice(state, "one", 0, "Ann")
    add_voice(state, "two", 1, "Ann")
    add_voice(state, "one", 1, "Ben")
    add_voice(state, "one", 1, "Ben", folder="other")
    assert forget_job(state, "one") == 3
    (ann,) = kept_voices(state, "calls").voices
    assert (ann.name, [one.job_id for one in ann.samples]) == ("Ann", ["two"])
    assert not objects.exists(state, kept_voices_name("other"))  # it would say that there was such a folder
    assert forget_job(state, "one") == 0


def test_a_voice_whose_job_is_erased_while_it_is_kept_is_kept_by_nobody(
    cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = cloud.storage.bucket(STATE)
    heard(cloud, "one")
    write = objects.replace

    def erased_before(*arguments: object, **more: object) -> object:
        monkeypatch.setattr(objects, "replace", write)
        objects.delete(state, "jobs/one/voices.json")
        assert forget_job(state, "one") == 0
        return write(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(objects, "replace", erased_before)
    with pytest.raises(VoiceRefused, match="erased"):
        add_voice(state, "one", 0, "Ann")
    assert list(all_kept_voices(state)) == []


def test_embeddings_are_in_no_repr() -> None:
    assert "0.6" not in repr(VOICE)
