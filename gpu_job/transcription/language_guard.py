"""The language guard of one file: chunks in another language than those around them are heard again, within a limit.

Which they are is known when the file's chunks and its audit are done. Until then the audio of chunks that differ from a
neighbour is kept, with the ends of the neighbours, the least sure ones first where there are too many.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count

import numpy as np

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.engines.speech_models import SpeechModels
from gpu_job.languages.chunk_flips import (
    FlipHeardAgain,
    FlippedChunk,
    HeardChunk,
    LogProbabilities,
    Way,
    flipped_chunks,
    heard_chunk,
    is_better,
)
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.languages.choice import LanguageChoice
from shared.languages.models import hears_one_language

_log = logging.getLogger(__name__)

CONTEXT_SECONDS = 5.0
"""Of each neighbour: two sentences, by which a model knows the language."""

MOST_PAUSE_SECONDS = 2.0
"""A neighbour behind a longer pause is no context."""

MOST_SECONDS = 1800.0
"""Most audio that is kept of one file, 115 MB, however high its limit."""


@dataclass(frozen=True)
class GuardRules:
    """How much may be heard again."""

    max_share: float = 0.1
    """Of the file's audio."""
    spare_seconds: float = 120.0
    """Besides, however short the file."""


@dataclass(frozen=True)
class GuardModels:
    """Which models a flipped chunk can be heard with."""

    own: SpeechModel | None
    """What the file is heard with; None: the engine's own."""
    table: SpeechModels | None
    is_loaded: Callable[[SpeechModel], bool]
    """Whether a model is in memory: none is loaded for this."""

    @property
    def is_told(self) -> bool:
        """Whether the file's model is told a language."""
        return self.own is not None and self.own.language is not None

    def with_language(self, language: str) -> SpeechModel | None:
        """The same model, told a language; None where it takes none."""
        own = self.own
        return None if own is None or not hears_one_language(own.name) else SpeechModel(own.name, language)

    def loaded_for(self, language: str) -> SpeechModel | None:
        """Another model that is for a language and is in memory; None where there is none."""
        if self.table is None or self.own is None:
            return None
        other = self.table.of(LanguageChoice(tags=(language,)))
        return other if other.name != self.own.name and self.is_loaded(other) else None


SubmitAgain = Callable[[int, Chunk, SpeechModel | None, Callable[[ChunkResult], None]], None]
"""Has a stretch of a channel heard by a model. May block. Raises EngineFailed."""


@dataclass(frozen=True)
class _Kept:
    heard: HeardChunk
    chunk: Chunk
    with_context: Chunk

    @property
    def seconds(self) -> float:
        return seconds(len(self.with_context.samples))


@dataclass
class _Channel:
    chunks: list[Chunk | None] = field(default_factory=list)
    """As they were cut; None where the audio is needed no more."""
    arrived: dict[int, int] = field(default_factory=dict)
    """First sample -> place, of chunks without a result yet."""
    heard: dict[int, HeardChunk | None] = field(default_factory=dict)
    """By place; None: nothing is said, or it is not this guard's."""
    decided: set[int] = field(default_factory=set)
    has_ended: bool = False


class LanguageGuard:
    """Of one file. Used from any thread."""

    def __init__(
        self,
        rules: GuardRules,
        log_probabilities: LogProbabilities,
        known: str | None,
        models: GuardModels,
        threads: Executor,
        *,
        submit: SubmitAgain,
        on_done: Callable[[], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """`known`: the one language that is spoken, without script and region; None: it is to be found. `on_done`:
        called once nothing more will be heard again."""
        self._rules = rules
        self._log_probabilities = log_probabilities
        self._known = known
        self._models = models
        self._threads = threads
        self._submit = submit
        self._on_done = on_done
        self._is_cancelled = is_cancelled
        self._lock = threading.Lock()
        self._numbers = count()
        self._channels: dict[int, _Channel] = {}
        self._kept: list[tuple[float, int, _Kept]] = []
        """A heap whose first one is the surest."""
        self._kept_seconds = 0.0
        self._cut_seconds = 0.0
        self._left_seconds = 0.0
        """That may still be heard again."""
        self._waiting = 0
        """Flipped chunks without an answer."""
        self._has_begun = False
        self._is_done = False
        self._found: list[FlipHeardAgain] = []

    def cut(self, channel: int, chunk: Chunk) -> None:
        """The channel's next chunk was cut."""
        with self._lock:
            of_channel = self._channels.setdefault(channel, _Channel())
            of_channel.arrived[chunk.start] = len(of_channel.chunks)
            of_channel.chunks.append(chunk)
            self._cut_seconds += seconds(len(chunk.samples))

    def add(self, chunk: Chunk, result: ChunkResult) -> None:
        """A chunk has its result."""
        heard = None
        if result.failure is None and result.engine is not Engine.DEEPGRAM:
            heard = heard_chunk(result.channel, chunk.start, chunk.end, result.tokens, self._log_probabilities)
        with self._lock:
            of_channel = self._channels.get(result.channel)
            place = None if of_channel is None else of_channel.arrived.pop(chunk.start, None)
            if of_channel is None or place is None:
                return
            of_channel.heard[place] = heard
            for each in (place - 1, place, place + 1):
                self._decide(of_channel, each)

    def end(self) -> None:
        """No more chunks will be cut."""
        with self._lock:
            for of_channel in self._channels.values():
                of_channel.has_ended = True
                self._decide(of_channel, len(of_channel.chunks) - 1)

    def would_ask(self, results: Iterable[ChunkResult]) -> bool:
        """Whether these results of a whole file have chunks that would be heard again, if their audio were there."""
        known = (one for one in results if one.failure is None and one.engine is not Engine.DEEPGRAM)
        heard = (heard_chunk(one.channel, one.start, one.end, one.tokens, self._log_probabilities) for one in known)
        return bool(flipped_chunks([one for one in heard if one is not None], self._known))

    def ask_once(self) -> None:
        """The file's chunks and its audit are done: hear flipped chunks again, on the threads. Further calls do
        nothing."""
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
            kept = {(one.heard.channel, one.heard.first): one for _, _, one in self._kept}
            self._kept = []
            heard = [one for each in self._channels.values() for one in each.heard.values() if one is not None]
            self._channels = {}
            self._left_seconds = self._rules.max_share * self._cut_seconds + self._rules.spare_seconds
        flips = flipped_chunks(heard, self._known)
        again = [(one, kept[place]) for one in flips if (place := (one.heard.channel, one.heard.first)) in kept]
        self._waiting = len(again) + 1
        for flipped, audio in again:
            self._later(partial(self._hear, flipped, audio))
        self._answered()

    @property
    def is_done(self) -> bool:
        """Whether nothing more will be heard again."""
        return self._is_done

    @property
    def found(self) -> Sequence[FlipHeardAgain]:
        """What came of it, in time order. Read it when it is done."""
        return sorted(self._found, key=lambda one: (one.flipped.heard.first, one.flipped.heard.channel))

    # What is kept until then.

    def _decide(self, channel: _Channel, place: int) -> None:
        """Keep a chunk's audio, or let it go, once it and its neighbours have their results."""
        heard, last = channel.heard, len(channel.chunks) - 1
        if not 0 <= place <= last or place in channel.decided or place not in heard:
            return
        if (place > 0 and place - 1 not in heard) or (
            place + 1 not in heard and (place < last or not channel.has_ended)
        ):
            return
        channel.decided.add(place)
        own = heard[place]
        if own is not None and self._is_suspect(own, (heard.get(place - 1), heard.get(place + 1))):
            self._keep(own, channel, place)
        for each in (place - 1, place, place + 1):
            beside = {other for other in (each - 1, each, each + 1) if 0 <= other <= last}
            if 0 <= each <= last and beside <= channel.decided and (each < last or channel.has_ended):
                channel.chunks[each] = None

    def _is_suspect(self, own: HeardChunk, beside: Sequence[HeardChunk | None]) -> bool:
        if own.confidence is None:
            return False
        if self._known is not None:
            return own.language != self._known
        return any(one is not None and one.language != own.language for one in beside)

    def _keep(self, heard: HeardChunk, channel: _Channel, place: int) -> None:
        chunk = channel.chunks[place]
        if chunk is None:
            return
        before = channel.chunks[place - 1] if place else None
        after = channel.chunks[place + 1] if place + 1 < len(channel.chunks) else None
        kept = _Kept(heard, Chunk(chunk.start, chunk.samples.copy()), _with_context(before, chunk, after))
        heappush(self._kept, (-(heard.confidence or 0.0), next(self._numbers), kept))
        self._kept_seconds += kept.seconds
        while self._kept and self._kept_seconds > MOST_SECONDS:
            self._kept_seconds -= heappop(self._kept)[2].seconds

    # Hearing again.

    def _hear(self, flipped: FlippedChunk, kept: _Kept) -> None:
        told = self._models.with_language(flipped.around)
        if told is not None:
            self._try(flipped, kept, Way.TOLD, told)
        else:
            self._try(flipped, kept, Way.CONTEXT, self._models.own)

    def _try(self, flipped: FlippedChunk, kept: _Kept, way: Way, model: SpeechModel | None) -> None:
        # A model that is told a language may hear no more than a chunk at once (Whisper: 30 s).
        audio = kept.chunk if way is Way.TOLD else kept.with_context
        length = seconds(len(audio.samples))
        with self._lock:
            is_allowed = length <= self._left_seconds and not self._is_cancelled()
            self._left_seconds -= length if is_allowed else 0.0
        if not is_allowed:
            self._answered()
            return
        try:
            self._submit(
                flipped.heard.channel, audio, model, lambda result: self._heard(flipped, kept, way, model, result)
            )
        except EngineFailed as error:
            _log.warning("a flipped chunk is not heard again", extra={"fields": {"reason": error.reason}})
            self._answered()

    def _heard(
        self, flipped: FlippedChunk, kept: _Kept, way: Way, model: SpeechModel | None, result: ChunkResult
    ) -> None:
        """On an engine's thread."""
        if result.failure is not None:
            _log.warning("a flipped chunk is not heard again", extra={"fields": {"reason": result.failure}})
            self._answered()
            return
        heard = flipped.heard
        tokens = _inside(result.tokens, seconds(heard.first), seconds(heard.end))
        again = heard_chunk(heard.channel, heard.first, heard.end, tokens, self._log_probabilities)
        better = is_better(flipped, again, way)
        name = "" if model is None else model.name
        confidence = None if again is None else again.confidence
        with self._lock:
            self._found.append(FlipHeardAgain(flipped, way, name, result.engine, tokens, confidence, better))
        other = None if better or way is Way.MODEL else self._models.loaded_for(flipped.around)
        if other is None:
            self._answered()
        else:
            # Not here: the engine's thread must not wait until there is room in its own queue.
            self._later(partial(self._try, flipped, kept, Way.MODEL, other))

    def _later(self, work: Callable[[], None]) -> None:
        try:
            self._threads.submit(copy_context().run, self._guarded, work)
        except RuntimeError:
            self._answered()  # the process ends

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # The first words stand.
            _log.exception("a flipped chunk is not heard again")
            self._answered()

    def _answered(self) -> None:
        """One fewer to wait for."""
        with self._lock:
            self._waiting -= 1
            if self._waiting or self._is_done:
                return
            self._is_done = True
        self._on_done()


def _with_context(before: Chunk | None, chunk: Chunk, after: Chunk | None) -> Chunk:
    """The chunk with the end of the one before it and the beginning of the one behind it, on the upload's clock."""
    most, pause = int(CONTEXT_SECONDS * SAMPLE_RATE), int(MOST_PAUSE_SECONDS * SAMPLE_RATE)
    parts = [chunk.samples]
    start = chunk.start
    if before is not None and before.start < chunk.start and chunk.start - before.end <= pause:
        first = max(before.start, min(before.end, chunk.start) - most)
        context = before.samples[first - before.start : chunk.start - before.start]
        silence = np.zeros(max(0, chunk.start - before.end), np.float32)
        parts = [context, silence, *parts]
        start = first
    if after is not None and chunk.end < after.end and after.start - chunk.end <= pause:
        silence = np.zeros(max(0, after.start - chunk.end), np.float32)
        begin = max(0, chunk.end - after.start)
        parts = [*parts, silence, after.samples[begin : begin + most]]
    return Chunk(start, np.concatenate(parts))


def _inside(tokens: Sequence[Token], begin: float, end: float) -> tuple[Token, ...]:
    """Those of the words whose first token begins inside."""
    return tuple(_of_words(tokens, begin, end))


def _of_words(tokens: Sequence[Token], begin: float, end: float) -> Iterator[Token]:
    is_inside = False
    for at, token in enumerate(tokens):
        if at == 0 or token.begins_word:
            is_inside = begin <= token.start < end
        if is_inside:
            yield token
