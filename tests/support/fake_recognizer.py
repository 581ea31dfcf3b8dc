"""An engine that hears what its chunks are made of, and fails on command."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Queue

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from tests.support.waiting import PATIENCE

BROKEN = -1.0
"""The first sample of a chunk on which the engine fails."""
UNFIT, MUTE = -2.0, -3.0
"""The same for the stages before and after it."""


@dataclass
class FakeRecognizer:
    """An engine that hears each chunk's length and first sample, and runs only while its gate is open."""

    batch_limits: BatchLimits = field(default_factory=lambda: BatchLimits(4, 40 * SAMPLE_RATE))
    gate: threading.Event = field(default_factory=threading.Event)
    begun: Queue[int] = field(default_factory=Queue)
    name: str = "counting"
    engine: Engine = Engine.PARAKEET_CPU
    hardware: str = "cpu"
    room_for: int = 1000
    """Chunks that fit into its memory."""
    survives: bool = False
    """Whether it can do what breaks others."""

    def prepare(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        if not self.survives and any(samples[0] == UNFIT for samples in batch):
            raise ValueError("unfit chunk")
        return batch

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        self.begun.put(len(batch))
        assert self.gate.wait(PATIENCE)
        if len(batch) > self.room_for:
            raise EngineFailed("Too large.", FailureKind.OUT_OF_MEMORY)
        if not self.survives and any(samples[0] == BROKEN for samples in batch):
            raise ValueError("broken chunk")
        return batch

    def finish(self, batch: Sequence[Samples]) -> list[list[Token]]:
        if not self.survives and any(samples[0] == MUTE for samples in batch):
            raise ValueError("mute chunk")
        return [[Token(f" {len(samples)}:{samples[0]:g}", 0.0, 1.0)] for samples in batch]
