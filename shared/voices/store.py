"""Voices in the state bucket: of a job beside its record, kept ones in an object for each folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from google.cloud.storage import Bucket

from shared import objects
from shared.clock import now
from shared.enums import Engine
from shared.errors import DropscribeError
from shared.state.jobs.store import JobStore
from shared.voices.model import MOST_SAMPLES, MOST_VOICES, JobVoices, KeptVoice, VoiceFolder, VoiceSample

KEPT_FOLDER = "voices/"


class VoiceRefused(DropscribeError):
    """Nothing was changed; the reason says why in a sentence."""


def job_voices_name(job_id: str) -> str:
    """Goes with everything else of the job: when it is erased, and after `lifecycle_days`."""
    return f"jobs/{job_id}/voices.json"


def store_job_voices(state: Bucket, job_id: str, voices: JobVoices) -> None:
    """The voices of a job's speakers, of the last run that has any."""
    objects.write(state, job_voices_name(job_id), voices.model_dump_json().encode())


def job_voices(state: Bucket, job_id: str) -> JobVoices | None:
    """None where none were stored, or the job was erased."""
    stored = objects.read(state, job_voices_name(job_id))
    return None if stored is None else JobVoices.model_validate_json(stored.data)


def kept_voices_name(folder: str) -> str:
    """Names of folders may be longer than an object's, and have any characters."""
    return f"{KEPT_FOLDER}{hashlib.sha256(folder.encode()).hexdigest()[:32]}.json"


def kept_voices(state: Bucket, folder: str) -> VoiceFolder:
    """The kept voices of a folder. Raises ValidationError where the object is none."""
    return objects.read_json(state, kept_voices_name(folder), VoiceFolder(folder=folder))


def all_kept_voices(state: Bucket) -> Iterator[VoiceFolder]:
    """Of each folder that has any. Raises as `kept_voices`."""
    for one in objects.list_metadata(state, KEPT_FOLDER):
        stored = objects.read(state, one.name)
        found = None if stored is None else VoiceFolder.model_validate_json(stored.data)
        if found is not None and found.voices:
            yield found


def add_voice(state: Bucket, job_id: str, number: int, name: str, folder: str | None = None) -> VoiceFolder:
    """Keep the voice of a job's speaker under a name: a new one, or one more sample of it.

    `folder`: instead of the job's own. Raises VoiceRefused.
    """
    found = job_voices(state, job_id)
    speaker = None if found is None else found.speaker(number)
    if found is None:
        raise VoiceRefused(
            "The job has no voices: KEPT_VOICES was off, its speakers were not asked for or were told apart by another"
            " service, voices are off for its folder, or it was erased."
        )
    if speaker is None:
        has = ", ".join(str(one.number) for one in found.speakers) or "none"
        raise VoiceRefused(f"The job has no voice of a speaker {number}; it has {has}.")
    _check_numbers(JobStore(state), job_id, found)
    sample = VoiceSample(**dict(speaker.voice), job_id=job_id, speaker=number, added_at=now())
    folder = found.folder if folder is None else folder

    def added(before: VoiceFolder) -> VoiceFolder:
        voice = before.voice(name)
        own = () if voice is None else tuple(one for one in voice.samples if (one.job_id, one.speaker) != place)
        if len(own) == MOST_SAMPLES:
            raise VoiceRefused(f"{name} has {MOST_SAMPLES} recordings already, the most.")
        if voice is None and len(before.voices) == MOST_VOICES:
            raise VoiceRefused(f"The folder has {MOST_VOICES} voices already, the most.")
        kept = KeptVoice(name=name, samples=(*own, sample))
        others = tuple(one for one in before.voices if one.name != name)
        return before.model_copy(update={"voices": (*others, kept)})

    place = (job_id, number)
    after = objects.update_json(state, kept_voices_name(folder), VoiceFolder(folder=folder), added)
    if job_voices(state, job_id) is None:
        # It was erased meanwhile, perhaps after its kept voices were looked for.
        forget_job(state, job_id)
        raise VoiceRefused("The job was erased meanwhile.")
    return after


def _check_numbers(jobs: JobStore, job_id: str, found: JobVoices) -> None:
    """Raises VoiceRefused where the job's newest transcript has its speakers' numbers from somebody else: the voice
    would be another person's."""
    job = jobs.load(job_id)
    if job is None:
        return
    if job.record.run != found.run:
        raise VoiceRefused(f"The job's voices are of its run {found.run}; run {job.record.run} has none, or not yet.")
    outcome = jobs.outcome(job_id, found.run)
    if outcome is None:
        raise VoiceRefused("The job has not ended yet.")
    if job.record.deepgram_calls and set(outcome.engines) == {Engine.DEEPGRAM}:
        raise VoiceRefused("The job's transcript is Deepgram's, which numbers its speakers otherwise.")


def rename_voice(state: Bucket, folder: str, name: str, new_name: str) -> VoiceFolder:
    """Raises VoiceRefused where there is no such voice, or another one has the name."""

    def renamed(before: VoiceFolder) -> VoiceFolder:
        voice = _known(before, name)
        if new_name != name and before.voice(new_name) is not None:
            raise VoiceRefused(f"There is a voice {new_name!r} already.")
        new = KeptVoice(name=new_name, samples=voice.samples)
        voices = tuple(new if one is voice else one for one in before.voices)
        return before.model_copy(update={"voices": voices})

    return objects.update_json(state, kept_voices_name(folder), VoiceFolder(folder=folder), renamed)


def delete_voice(state: Bucket, folder: str, name: str) -> VoiceFolder:
    """Raises VoiceRefused where there is no such voice."""

    def without(before: VoiceFolder) -> VoiceFolder:
        voice = _known(before, name)
        return before.model_copy(update={"voices": tuple(one for one in before.voices if one is not voice)})

    after = objects.update_json(state, kept_voices_name(folder), VoiceFolder(folder=folder), without)
    _delete_if_empty(state, kept_voices_name(folder))
    return after


def forget_job(state: Bucket, job_id: str) -> int:
    """Take what was heard in a job out of every kept voice, and voices that were heard in nothing else; how many
    samples went. Raises StateConflict, and ValidationError where an object is no folder of voices: nobody knows then
    what it has of the job."""
    gone = 0
    for one in objects.list_metadata(state, KEPT_FOLDER):
        counts = [0]

        def without(before: VoiceFolder, counts: list[int] = counts) -> VoiceFolder:
            rests = [
                (voice.name, tuple(sample for sample in voice.samples if sample.job_id != job_id))
                for voice in before.voices
            ]
            counts[0] = sum(len(voice.samples) for voice in before.voices) - sum(len(rest) for _, rest in rests)
            voices = tuple(KeptVoice(name=name, samples=rest) for name, rest in rests if rest)
            return before.model_copy(update={"voices": voices})

        objects.update_json(state, one.name, VoiceFolder(folder=""), without)
        gone += counts[0]
        _delete_if_empty(state, one.name)
    return gone


def _delete_if_empty(state: Bucket, name: str) -> None:
    """It has the folder's name still."""
    stored = objects.read(state, name)
    if stored is not None and not VoiceFolder.model_validate_json(stored.data).voices:
        objects.delete(state, name, stored.generation)


def _known(folder: VoiceFolder, name: str) -> KeptVoice:
    voice = folder.voice(name)
    if voice is None:
        raise VoiceRefused(f"There is no voice {name!r} in {folder.folder or 'the top folder'}.")
    return voice
