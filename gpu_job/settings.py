"""The job's settings: the model, chunks, batches, the audit, claims, and when the task stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from gpu_job.asr.load_recognizer import Precision, RecognizerOptions
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder_process.start import DecoderLimits
from gpu_job.audio.parallel import DECODER_CHILDREN, ParallelDecoding, usable_cores
from gpu_job.audit.queries import AuditRules
from gpu_job.engines.chunk_queue import BUFFERED_AUDIO_SECONDS
from gpu_job.engines.loaded_models import LOADED_MODELS, LOADED_MODELS_GIB
from gpu_job.engines.speech_models import SpeechModels
from gpu_job.engines.time_limits import TimeLimits
from gpu_job.speakers.diarizer import BuiltInModel
from gpu_job.speakers.sortformer import SortformerModel
from gpu_job.speakers.stage import SpeakerModel
from gpu_job.transcription.language_guard import GuardRules
from gpu_job.transcription.setup import PipelineOptions
from shared.settings.deepgram import DeepgramSettings
from shared.settings.deployment import DeploymentSettings
from shared.settings.field import setting

_PIPELINE, _RECOGNIZER, _TIME_LIMITS = PipelineOptions(), RecognizerOptions(), TimeLimits()
"""Where `transcribe` and the job have the same default, it stands there."""


class JobSettings(DeploymentSettings, DeepgramSettings):
    """Everything the job reads from its environment, but for Cloud Run's own CLOUD_RUN_* variables."""

    work_subscription: str = setting("transcription-work-job", "Pub/Sub subscription of the work items.", min_length=3)
    parakeet_model_release: str = setting(
        "",
        "What the model is a copy of: results of another job's worker with the same one are used. Empty: of those with"
        " the same PARAKEET_MODEL_NAME.",
        source="set in the images",
    )
    model_precision: Precision = setting(
        _RECOGNIZER.precision,
        "What the model computes in. A NeMo model: bf16 or fp32; auto: bf16 on a GPU, and on a CPU that has it for"
        " models of 100 M parameters or more. ONNX networks: int8 or fp32; auto: int8 where there are such.",
        source="docs/benchmarks.md",
    )
    chunk_seconds: float = setting(
        _PIPELINE.cuts.max_seconds,
        "Longest stretch of audio the model sees at once.",
        unit="s",
        source="docs/benchmarks.md",
        ge=5,
        le=1200,
    )
    chunk_duration_minutes: float | None = setting(
        None, "Older name of CHUNK_SECONDS, in minutes; CHUNK_SECONDS goes before it.", unit="min", gt=0, le=20
    )
    sortformer_file: Path | None = setting(
        None, "The .nemo file of SPEAKER_MODEL=sortformer; none ships with the images.", source="its model card"
    )
    kept_voices: bool = setting(
        False,
        "Whether speakers are named whose voices were kept (`dropscribe voices`), and voices of each job's speakers are"
        " stored so that they can be. Embeddings of voices are biometric data: docs/security.md, kept voices.",
        source="an opt-in",
    )
    loaded_models: int = setting(
        LOADED_MODELS,
        "Most models that an engine keeps in memory; uploads of other languages have others (LANGUAGE_MODELS). Of those"
        " that no batch needs the least recently used one goes. 1: one after the other.",
        unit="models",
        ge=1,
    )
    loaded_models_gib: float = setting(
        LOADED_MODELS_GIB,
        "Most memory that an engine's models take together, beside their batches: the GPU's or the process's, by the"
        " sizes of their files. A larger one is alone.",
        unit="GiB",
        source="Parakeet 0.6 B: 1.3 GB each in bf16 or int8; WORKER_MEMORY_GIB has to hold all",
        gt=0,
    )
    gpu_batch_size: int = setting(
        _RECOGNIZER.max_chunks, "Most chunks in one batch on a GPU; memory may allow fewer.", unit="chunks", ge=1
    )
    max_concurrent_chunks: int | None = setting(
        None, "Most chunks in one batch on any device, where fewer than GPU_BATCH_SIZE are wanted.", unit="chunks", ge=1
    )
    enable_batch_processing: bool = setting(True, "Whether chunks run in batches; without, one at a time.")
    gpu_memory_limit_gb: float = setting(
        _RECOGNIZER.gpu_memory_gb,
        "Most GPU memory that weights and batches may take; the card's own size is a limit too.",
        unit="GiB",
        source="an L4 has 24 GB; some is the driver's",
        gt=0,
    )
    batch_audio_seconds: float = setting(
        _RECOGNIZER.gpu_audio_seconds,
        "Most audio in one batch on a GPU, padding included; memory may allow less.",
        unit="s",
        source="about 200 MiB of activations per minute of audio in bf16: 4 GB; not measured on a GPU yet",
        gt=0,
    )
    cpu_batch_audio_seconds: float = setting(
        _RECOGNIZER.cpu_audio_seconds,
        "Most audio in one batch on a CPU, padding included.",
        unit="s",
        source="tiny model, 2 cores: 378 x real time with 80 s, 594 with 320 s (2026-11-21)",
        gt=0,
    )
    model_load_timeout_seconds: float = setting(
        1800.0,
        "A model that takes longer to load is taken for hung: the process leaves, and another one has its work.",
        unit="s",
        source="the full model loads within 62 s (docs/benchmarks.md); the rest is for a download",
        gt=0,
    )
    batch_timeout_seconds: float = setting(
        _TIME_LIMITS.batch_seconds,
        "The same for a batch, besides the time in which its audio plays. An attempt of that length counts, however it"
        " ended, if it transcribed nothing.",
        unit="s",
        source="the full model in fp32 on two cores is 11.8 times as fast as its audio plays (docs/benchmarks.md)",
        gt=0,
    )
    uploads_in_flight: int = setting(
        4, "Most uploads that are fetched, decoded and transcribed together; memory and disk may allow fewer.", ge=1
    )
    scratch_folder: Path | None = setting(
        None, "Folder that uploads are fetched into; by default the system's for temporary files."
    )
    buffered_audio_seconds: float = setting(
        BUFFERED_AUDIO_SECONDS,
        "Decoded audio that may wait for the model.",
        unit="s",
        source="two batches; 4 bytes x 16 kHz: 154 MB",
        gt=0,
    )
    fetch_timeout_seconds: float = setting(
        120.0, "Longest wait for the next bytes while an upload is fetched.", unit="s", gt=0
    )
    decode_stall_seconds: float = setting(
        _PIPELINE.decoding.limits.stall_seconds, "A decoder without output for so long is ended.", unit="s", gt=0
    )
    decoder_children: int = setting(
        DECODER_CHILDREN,
        "Most decoders at work on one long file; never more than there are cores.",
        unit="processes",
        ge=1,
        le=16,
    )
    decoder_ahead_seconds: float = setting(
        _PIPELINE.decoding.parallel.ahead_seconds,
        "Decoded audio that the decoders of one file may hold ready.",
        unit="s",
        source="4 bytes x 16 kHz: 38 MB",
        ge=60,
        le=3600,
    )
    decoder_memory_mb: int = setting(
        _PIPELINE.decoding.limits.memory_mb, "Address space one decoder may use.", unit="MB", ge=256
    )
    audit_gap_seconds: float = setting(
        AuditRules().gap_seconds,
        "A longer stretch without words is looked at again where it sounds.",
        unit="s",
        source="docs/benchmarks.md",
        gt=0,
    )
    audit_max_share: float = setting(
        AuditRules().max_share,
        "Most audio that is decoded a second time, as a share of all.",
        source="bounds the cost",
        ge=0,
        le=1,
    )
    audit_spare_seconds: float = setting(
        AuditRules().spare_seconds,
        "Audio that may be decoded a second time besides, however short the upload.",
        unit="s",
        ge=0,
    )
    language_guard_max_share: float = setting(
        GuardRules().max_share,
        "Most audio that is heard again because it is in another language than what is around it, as a share of all."
        " With LANGUAGE_GUARD_SPARE_SECONDS 0, too: none.",
        source="bounds the cost",
        ge=0,
        le=1,
    )
    language_guard_spare_seconds: float = setting(
        GuardRules().spare_seconds,
        "Audio that may be heard again for that besides, however short the upload.",
        unit="s",
        source="two chunks with the ends of their neighbours",
        ge=0,
    )
    checkpoint_seconds: float = setting(30.0, "Finished chunks of a running job are stored this often.", unit="s", gt=0)
    heartbeat_seconds: float = setting(15.0, "How often a worker renews its slot and its jobs' claims.", unit="s", gt=0)
    lease_seconds: float = setting(
        90.0, "A slot or claim that is not renewed for so long has lapsed: its worker counts as dead.", unit="s", gt=0
    )
    fault_backoff_seconds: float = setting(
        5.0,
        "Longest wait before an upload is tried again whose attempt ended through a fault of a service, the network or"
        " the disk; it doubles with each further one, up to 10 min.",
        unit="s",
        source="Pub/Sub holds an item back for 10 min at most",
        gt=0,
        le=600,
    )
    restart_seconds: float = setting(
        300.0,
        "Time the next attempt has to take a job that a worker gave back, before the reconciler takes it for lost.",
        unit="s",
        source="as LAUNCH_SECONDS: image pull and GPU start take seconds to minutes",
        gt=0,
    )
    task_timeout_seconds: float = setting(
        3600.0,
        "Cloud Run ends the task after this time.",
        unit="s",
        source="Cloud Run: 1 h for GPU tasks, up to 12 h in preview; tasks without a GPU up to 168 h",
        gt=60,
    )
    stop_margin_seconds: float = setting(
        60.0,
        "How long before the task's end a worker gives its jobs back to the queue. Maintenance, which may end a GPU "
        "task at any time, gives 10 s only: what is not stored by then is done again from the last checkpoint.",
        unit="s",
        gt=0,
    )
    instance_start_seconds: float = setting(
        5.0, "Billed time of an instance before its process runs.", unit="s", source="Cloud Run documentation, GPU jobs"
    )

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, given: dict[str, Any]) -> dict[str, Any]:
        try:
            minutes = float(given["chunk_duration_minutes"])
        except (KeyError, TypeError, ValueError):  # not given, or none: its own field says so
            return given
        return {"chunk_seconds": minutes * 60, **given}

    @model_validator(mode="after")
    def _signs_of_life_come_in_time(self) -> JobSettings:
        if 2 * self.heartbeat_seconds > self.lease_seconds:
            raise ValueError("LEASE_SECONDS must be at least twice HEARTBEAT_SECONDS: one missed beat is no death")
        if self.stop_margin_seconds >= self.task_timeout_seconds:
            raise ValueError("STOP_MARGIN_SECONDS must be less than TASK_TIMEOUT_SECONDS")
        return self

    @model_validator(mode="after")
    def _sortformer_has_weights(self) -> JobSettings:
        if self.speaker_model == "sortformer" and self.sortformer_file is None:
            raise ValueError("SPEAKER_MODEL=sortformer takes SORTFORMER_FILE")
        return self

    def open_speaker_model(self) -> SpeakerModel:
        """What tells speakers apart; loaded with the first upload that asks. Raises SpeakerModelUnusable."""
        if self.sortformer_file is None or self.speaker_model == "built-in":
            return BuiltInModel()
        return SortformerModel(self.sortformer_file, BuiltInModel())

    @property
    def time_limits(self) -> TimeLimits:
        """When a model is taken for hung."""
        return TimeLimits(self.model_load_timeout_seconds, self.batch_timeout_seconds)

    @property
    def recognizer_options(self) -> RecognizerOptions:
        """How the model is loaded and how large its batches may be."""
        return RecognizerOptions(
            max_chunks=self.max_batch_chunks,
            gpu_audio_seconds=self.batch_audio_seconds,
            cpu_audio_seconds=self.cpu_batch_audio_seconds,
            gpu_memory_gb=self.gpu_memory_limit_gb,
            precision=self.model_precision,
        )

    @property
    def pipeline_options(self) -> PipelineOptions:
        """How uploads become transcripts."""
        return PipelineOptions(
            language=self.language,
            speech_models=SpeechModels(self.parakeet_model_name, self.language_table, self.parakeet_model_release),
            low_confidence=self.low_confidence,
            cuts=CutRules(max_seconds=self.chunk_seconds),
            audit=AuditRules(
                gap_seconds=self.audit_gap_seconds,
                max_share=self.audit_max_share,
                spare_seconds=self.audit_spare_seconds,
            ),
            trial_seconds=self.language_trial_seconds,
            guard=GuardRules(self.language_guard_max_share, self.language_guard_spare_seconds),
            decoding=DecodeOptions(
                limits=DecoderLimits(self.decode_stall_seconds, self.decoder_memory_mb),
                parallel=ParallelDecoding(min(self.decoder_children, usable_cores()), self.decoder_ahead_seconds),
            ),
        )

    @property
    def max_batch_chunks(self) -> int:
        """The smallest of the settings that limit a batch's chunks."""
        return (
            min(self.gpu_batch_size, self.max_concurrent_chunks or self.gpu_batch_size)
            if self.enable_batch_processing
            else 1
        )
