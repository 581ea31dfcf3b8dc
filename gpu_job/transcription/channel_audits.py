"""The audits of one file, one a channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audit.audit import Audit
from gpu_job.audit.findings import Findings
from gpu_job.audit.queries import AuditRules
from gpu_job.audit.runner import AuditRunner, DeliverTokens, Detector
from shared.transcript.model import Gap


@dataclass(frozen=True)
class _ChannelHost:
    """What one channel's audit asks of its file."""

    channel: int
    submit_window: Callable[[int, Chunk, DeliverTokens], None]
    on_unheard: Callable[[int, Chunk, Sequence[Gap]], None]
    on_done: Callable[[], None]
    on_broken: Callable[[Exception], None]

    def transcribe_window(self, window: Chunk, deliver: DeliverTokens) -> None:
        self.submit_window(self.channel, window, deliver)

    def unheard(self, window: Chunk, gaps: Sequence[Gap]) -> None:
        self.on_unheard(self.channel, window, gaps)

    def done(self) -> None:
        self.on_done()

    def broke(self, error: Exception) -> None:
        self.on_broken(error)


class ChannelAudits:
    """Used from any thread; without rules nothing is audited, and the findings say so."""

    def __init__(
        self,
        rules: AuditRules | None,
        channels: int,
        detector: Detector,
        threads: Executor,
        *,
        submit_window: Callable[[int, Chunk, DeliverTokens], None],
        on_unheard: Callable[[int, Chunk, Sequence[Gap]], None],
        on_done: Callable[[], None],
        on_broken: Callable[[Exception], None],
    ) -> None:
        """`submit_window`: has a window of a channel transcribed again, as of `AuditHost`. `on_unheard`: speech in a
        window of a channel stays without words. `on_done`: the last query or retry of a channel is done. `on_broken`:
        an audit will not be done."""
        self._channels = channels
        self._runners = [
            AuditRunner(
                Audit(rules),
                detector,
                threads,
                _ChannelHost(channel, submit_window, on_unheard, on_done, on_broken),
            )
            for channel in range(channels if rules is not None else 0)
        ]

    def cut(self, channel: int, chunk: Chunk, *, is_neighbour: bool = False) -> None:
        """The channel's next chunk was cut. The caller must hold no lock. `is_neighbour`: as of Audit."""
        if self._runners:
            self._runners[channel].cut(chunk, is_neighbour=is_neighbour)

    def transcribed(self, result: ChunkResult) -> None:
        """A chunk has its result."""
        if self._runners:
            failed = result.failure is not None
            self._runners[result.channel].transcribed(result.start, result.tokens, failed=failed)

    def end(self, *, is_followed: bool = False) -> None:
        """No more chunks will be cut. `is_followed`: as of Audit."""
        for runner in self._runners:
            runner.end(is_followed=is_followed)

    @property
    def is_done(self) -> bool:
        """Whether the findings change no more."""
        return all(runner.is_done for runner in self._runners)

    def findings(self) -> list[Findings]:
        """Of each channel. Read it when all is done."""
        if not self._runners:
            return [Findings(audited=False) for _ in range(self._channels)]
        return [runner.findings for runner in self._runners]
