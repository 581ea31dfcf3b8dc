"""Second opinions on one file, where they are asked for; of a shard, only what they may be asked of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.chunker import Chunk
from gpu_job.transcription.opinions.kept_audio import KeptAudio
from gpu_job.transcription.opinions.second_opinions import SecondOpinions
from gpu_job.transcription.setup import FileRequest, Pipeline
from shared.enums import Engine
from shared.transcript.model import Gap


class FileOpinions:
    """Used from any thread, but for `begin` and `join`, which are the feeding thread's."""

    def __init__(
        self,
        pipeline: Pipeline,
        request: FileRequest,
        *,
        submit: Callable[[Chunk, Callable[[ChunkResult], None]], None],
        is_incomplete: Callable[[], bool],
        engine_at: Callable[[int, int], Engine],
        on_done: Callable[[], None],
    ) -> None:
        """As of SecondOpinions."""
        is_shard = request.shard is not None
        # A shard sends nothing; whether the upload's audio may be sent, who joins them knows.
        self._limits = request.opinions if is_shard or not request.stays_local else None
        self._kept: KeptAudio | None = None
        self._opinions: SecondOpinions | None = None
        if self._limits is not None and not is_shard:
            self._opinions = SecondOpinions(
                self._limits.store,
                pipeline.audit_threads,
                submit=submit,
                is_incomplete=is_incomplete,
                engine_at=engine_at,
                on_done=on_done,
                is_cancelled=request.cancelled.is_set,
            )
        self.begin()

    def begin(self) -> None:
        """All of the file is fed, perhaps once more: forget what was kept."""
        limits = self._limits
        self._kept = None if limits is None else KeptAudio(limits.seconds, limits.missing_seconds)

    @property
    def are_asked(self) -> bool:
        """Whether audio is kept for them."""
        return self._kept is not None

    def add(self, chunk: Chunk, result: ChunkResult) -> None:
        """A chunk has its result."""
        if self._kept is not None:
            self._kept.add(chunk, result)

    @property
    def unheard(self) -> Callable[[int, Chunk, Sequence[Gap]], None]:
        """Takes a channel, a window of it and speech in it that stays without words, while it is fed this time."""
        return _nothing if self._kept is None else self._kept.unheard

    def packed(self) -> bytes | None:
        """What a complete shard keeps; None where nobody asked."""
        return None if self._kept is None else self._kept.packed()

    def join(self, parts: Iterable[bytes]) -> None:
        """Instead of results: what the shards of an upload keep, each as `packed` has it. Raises ValueError where that
        is not what is kept of the whole."""
        if self._kept is not None:
            for part in parts:
                self._kept.join(part)

    def ask_once(self) -> None:
        """The file's chunks and its audit are done."""
        if self._opinions is not None and self._kept is not None:
            self._opinions.ask_once(self._kept)

    @property
    def is_done(self) -> bool:
        """Whether the answer is there, or none will come."""
        return self._opinions is None or self._opinions.is_done

    @property
    def heard(self) -> tuple[HeardAgain, ...]:
        """The answer. Read it when it is done."""
        return () if self._opinions is None else self._opinions.heard


def _nothing(channel: int, window: Chunk, gaps: Sequence[Gap]) -> None:
    """Nobody asks for it."""
