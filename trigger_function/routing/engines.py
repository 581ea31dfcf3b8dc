"""Engines: which of them this deployment has, and which uploads they cannot take."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.enums import JobDevice
from shared.languages.choice import LanguageChoice
from shared.languages.models import PUBLISHED_MODEL
from shared.languages.table import LanguageTable
from shared.languages.trial import TRIAL_SECONDS, models_heard_beside, models_on_trial
from shared.media import Media
from shared.options.metadata_keys import REDACT_AUDIO_METADATA
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerModelName
from trigger_function.settings.function import FunctionSettings


@dataclass(frozen=True)
class Engines:
    """What a deployment is configured for."""

    gpu: bool
    deepgram: bool
    deepgram_max_bytes: int
    fallback: bool = True
    """Whether another engine may replace the one that was chosen."""
    cpu: bool = False
    """Whether there is a job without GPU."""
    gpu_file_bytes: int | None = None
    """Largest file that an instance of the GPU job can hold; None: not known."""
    cpu_file_bytes: int | None = None
    """The same of the CPU job."""
    languages: LanguageTable = field(default_factory=LanguageTable)
    deepgram_model: str = "nova-3"
    own_model: str = PUBLISHED_MODEL
    """The jobs' own, as PARAKEET_MODEL_NAME has it."""
    trial_seconds: float = TRIAL_SECONDS
    """Speech that models on trial hear; 0: none are."""
    speaker_model: SpeakerModelName = "built-in"
    """What tells speakers apart on the jobs."""

    @classmethod
    def from_settings(cls, settings: FunctionSettings) -> Engines:
        """The engines that this deployment is configured for."""
        return cls(
            gpu=settings.has_gpu_job,
            deepgram=settings.deepgram_api_key is not None,
            deepgram_max_bytes=settings.deepgram_max_bytes,
            fallback=settings.enable_fallback,
            cpu=settings.cpu_job is not None,
            gpu_file_bytes=settings.largest_file_bytes(settings.job_memory_gib, settings.job_disk_gib),
            cpu_file_bytes=settings.largest_file_bytes(settings.cpu_job_memory_gib, settings.cpu_job_disk_gib),
            languages=settings.language_table,
            deepgram_model=settings.deepgram_model,
            own_model=settings.parakeet_model_name,
            trial_seconds=settings.language_trial_seconds,
            speaker_model=settings.speaker_model,
        )

    def heard_beside(self, asked: LanguageChoice | None, device: JobDevice) -> tuple[str, ...]:
        """The models of a job that hear the first speech of an upload beside the one that it is quoted with, as the
        worker has it (`gpu_job/transcription/file_language.py`). `asked`: the owner's; None: nothing."""
        if self.trial_seconds <= 0:
            return ()
        on_trial = models_on_trial(self.languages, self.own_model, asked, on_gpu=device is JobDevice.GPU)
        return models_heard_beside(on_trial, self.languages.model_for(asked) or self.own_model)


def deepgram_file_obstacle(media: Media) -> str | None:
    """Why Deepgram would not hear what is wanted of the file; None where it does.

    It is sent the whole file and takes a track by itself, the first by all that is known. The job decodes all of the
    wanted track, so this does not concern a hybrid's part.
    """
    if media.mixes_tracks:
        return f"Deepgram hears one audio track of a file, and all {len(media.tracks)} are wanted"
    wanted = next((track for track in media.tracks if track.index == media.track), None)
    if wanted is not None and wanted.number > 1:
        return f"Deepgram hears the first of a file's audio tracks, and track {wanted.label} is wanted"
    if media.has_wrong_header:
        return "the file's header is wrong, which only the job's decoder corrects"
    return None


def deepgram_obstacle(media: Media, engines: Engines) -> str | None:
    """Why Deepgram cannot take this upload; None where it can."""
    if not engines.deepgram:
        return "no Deepgram API key is configured"
    if media.size_bytes > engines.deepgram_max_bytes:
        return f"Deepgram takes at most {engines.deepgram_max_bytes / 1e9:g} GB"
    return None


def job_obstacle(device: JobDevice, media: Media, engines: Engines) -> str | None:
    """Why no instance of a job could hold the file, which a worker fetches whole; None where one can, or may.

    A worker has the last word, by the disk that it really has (`gpu_job/worker/admission.py`).
    """
    largest = engines.cpu_file_bytes if device is JobDevice.CPU else engines.gpu_file_bytes
    if largest is None or media.size_bytes <= largest:
        return None
    has, room = (f"{count / 1e9:.2f} GB" for count in (media.size_bytes, largest))
    return f"the file has {has} and an instance of the {device.upper()} job has room for {room} only"


def redaction_obstacle(options: UploadOptions) -> str | None:
    """Why Deepgram alone cannot do what is to be redacted; None where it can."""
    if not options.redaction.makes_audio:
        return None
    return f"only the job makes a redacted recording ({REDACT_AUDIO_METADATA}: off asks for none)"


def deepgram_fallback_obstacle(options: UploadOptions, media: Media, engines: Engines) -> str | None:
    """Why Deepgram cannot take over a whole upload that a job was to do; None where it can."""
    if options.is_private:
        return "the file may not leave for an API"
    return (
        deepgram_obstacle(media, engines)
        or deepgram_file_obstacle(media)
        or redaction_obstacle(options)
        or engines.languages.deepgram_obstacle(options.language)
    )


def job_fallback_obstacle(device: JobDevice, options: UploadOptions, media: Media, engines: Engines) -> str | None:
    """Why a job cannot take over an upload; None where it can."""
    return job_obstacle(device, media, engines) or engines.languages.job_obstacle(options.language, device)
