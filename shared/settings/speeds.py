"""Speeds that quotes assume."""

from __future__ import annotations

from pydantic_settings import BaseSettings

from shared.costs.speeds import DeviceSpeed, Speeds
from shared.settings.field import SETTINGS_CONFIG, setting


class SpeedSettings(BaseSettings):
    """Speeds that quotes assume until this deployment has measured its own."""

    model_config = SETTINGS_CONFIG

    gpu_startup_seconds: float = setting(
        30.0,
        "Start-up of a GPU instance: container, imports, model load.",
        unit="s",
        source="5 s instance (Cloud Run), 9 s imports (docs/benchmarks.md), 13 s model load in bf16 (its model card)",
        gt=0,
    )
    cpu_startup_seconds: float = setting(
        9.0,
        "Start-up of an instance without GPU: container, imports, model load.",
        unit="s",
        source="5 s instance (Cloud Run), 3.8 s of CPU time to the first batch (docs/benchmarks.md)",
        gt=0,
    )
    gpu_x_real_time: float = setting(
        123.0,
        "Audio that Parakeet transcribes in a second on the GPU.",
        unit="x real time",
        source="L4, whole job: 205 min in 100 s (AWS blog, April 2026)",
        gt=0,
    )
    cpu_x_real_time: float = setting(
        12.0,
        "Audio that Parakeet transcribes in a second without GPU.",
        unit="x real time",
        source="an assumption for 4 vCPU, two threads on each of two cores: int8 on ONNX Runtime reaches 17.6 on two"
        " cores with AVX-512 and about 6 on two older ones (docs/benchmarks.md); learned from the first executions",
        gt=0,
    )
    decode_x_real_time: float = setting(
        500.0,
        "Audio that is decoded in a second.",
        unit="x real time",
        source="10 min of opus in 1.1 s, FFmpeg on one core (AMD EPYC, 2026-11-21)",
        gt=0,
    )
    deepgram_x_real_time: float = setting(
        100.0,
        "Audio that Deepgram transcribes in a second.",
        unit="x real time",
        source="an assumption, no figure is public; learned from the first answers",
        gt=0,
    )

    speakers_x_real_time: float = setting(
        60.0,
        "Audio whose speakers the job tells apart in a second, where an upload asks for that, until that is learned.",
        unit="x real time",
        source="115 s of one core an hour of audio (AMD EPYC, 2026-11-28), on two threads",
        gt=0,
    )

    def initial_speeds(self, gpu: str | None) -> Speeds:
        """The starting values, for the deployment's GPU type and for `cpu`."""
        devices = {"cpu": DeviceSpeed(self.cpu_startup_seconds, self.cpu_x_real_time, self.speakers_x_real_time)}
        if gpu is not None:
            devices[gpu] = DeviceSpeed(self.gpu_startup_seconds, self.gpu_x_real_time, self.speakers_x_real_time)
        return Speeds(devices, self.decode_x_real_time, self.deepgram_x_real_time)
