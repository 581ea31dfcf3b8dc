"""Engines: which of them this deployment has, and which uploads they cannot take."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media import Media
from trigger_function.settings import FunctionSettings


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

    @classmethod
    def from_settings(cls, settings: FunctionSettings) -> Engines:
        """The engines that this deployment is configured for."""
        return cls(
            gpu=settings.enable_gpu_transcription,
            deepgram=settings.deepgram_api_key is not None,
            deepgram_max_bytes=settings.deepgram_max_bytes,
            fallback=settings.enable_fallback,
            cpu=settings.cpu_job is not None,
        )


def deepgram_obstacle(media: Media, engines: Engines) -> str | None:
    """Why Deepgram cannot take this upload; None where it can."""
    if not engines.deepgram:
        return "no Deepgram API key is configured"
    if media.size_bytes > engines.deepgram_max_bytes:
        return f"Deepgram takes at most {engines.deepgram_max_bytes / 1e9:g} GB"
    return None
