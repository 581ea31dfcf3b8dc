"""Decide what the audit asks the speech detector, what is transcribed again, and which words are spliced or dropped.

A state machine for one channel of one upload, without threads or effects. It takes every chunk as it is cut and, in
any order, its words, and returns queries; `gpu_job.audit.runner` runs them. A chunk is examined when its words and
those of its neighbours are known, so its audio is soon freed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpu_job.asr.tokens import Token, ensure_word_start
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from gpu_job.audit.candidates import LONG_SILENCE_SECONDS, AuditedChunk, queries_for
from gpu_job.audit.evidence import TimedWord, timed_words
from gpu_job.audit.findings import Findings, Splice, ends_with, words_inside
from gpu_job.audit.intervals import Span, clipped, merge_close, total, uncovered
from gpu_job.audit.queries import AuditRules, Retry, SuspectWords, UntranscribedSpan, VadQuery, retry_windows
from shared.transcript.model import Gap

NO_WORDS_REASON = "Speech here, but no words were recognized."
RETRY_LIMIT_REASON = "Speech here without words; the upload's limit for transcribing audio again is reached."


class Audit:
    """Its methods return the next queries and retries. Not thread safe."""

    def __init__(self, rules: AuditRules | None = None) -> None:
        self.findings = Findings()
        self._rules = rules or AuditRules()
        self._held: list[AuditedChunk] = []
        self._last: AuditedChunk | None = None
        self._cut_seconds = 0.0
        self._open = 0
        """Queries and retries without a result."""
        self._ended = False

    def cut(self, chunk: Chunk, *, is_neighbour: bool = False) -> list[VadQuery]:
        """The next chunk was cut. `is_neighbour`: another audit examines it; this one only needs it beside others."""
        last = self._last
        near = last is not None and seconds(chunk.start - last.chunk.end) <= LONG_SILENCE_SECONDS
        audited = AuditedChunk(chunk, last if near else None, examined=is_neighbour)
        if last is not None:
            last.is_followed, last.after = True, audited if near else None
        self._held.append(audited)
        self._last = audited
        self._cut_seconds += seconds(len(chunk.samples))
        return self._examine_ready()

    def transcribed(self, start: int, tokens: Iterable[Token], *, failed: bool = False) -> list[VadQuery]:
        """The tokens of the chunk that begins at this sample, on the upload's clock; or that its engine failed.

        A second result for the same chunk changes nothing.
        """
        for audited in self._held:
            if audited.chunk.start == start and audited.words is None:
                audited.answer(timed_words(ensure_word_start([*tokens])), failed=failed)
                return self._examine_ready()
        return []

    def end(self, *, is_followed: bool = False) -> list[VadQuery]:
        """No more chunks will be cut. `is_followed`: others follow all the same, and another audit examines the last
        chunk beside the next one."""
        self._ended = True
        if self._last is not None:
            self._last.examined = self._last.examined or is_followed
            self._last.is_followed, self._last = True, None
        return self._examine_ready()

    @property
    def is_done(self) -> bool:
        """Whether every chunk is transcribed and examined, and every query and retry is done."""
        return self._ended and self._open == 0 and not self._held

    @property
    def held_seconds(self) -> float:
        """Audio in memory, without the windows of open queries."""
        return sum(audited.span.seconds for audited in self._held)

    def answer(self, query: VadQuery, speech: Sequence[tuple[float, float]]) -> Retry | None:
        """The detector's stretches, in seconds from the window's start -> what to transcribe again, if anything."""
        self._open -= 1
        start = seconds(query.window.start)
        found = tuple(Span(start + begin, start + end) for begin, end in speech)
        if isinstance(query, SuspectWords):
            self.findings.dropped += [timed for timed in query.words if not self._has_speech_near(timed, found)]
            return None
        missing = self._missing_speech(query, (), found)
        if not missing:
            return None
        further = retry_windows(query, Span(missing[0].start, missing[-1].end))
        return self._next(Retry(query.window, query, found, further, ()), RETRY_LIMIT_REASON)

    def query_failed(self, query: VadQuery) -> None:
        """The detector failed on it: the coverage counts as not audited."""
        self._open -= 1
        self.findings.audited = False

    def retranscribed(self, retry: Retry, tokens: Iterable[Token]) -> Retry | None:
        """The tokens of the retry's window, on the upload's clock -> what to transcribe next, if anything.

        No tokens where the engine failed.
        """
        self._open -= 1
        query, tokens = retry.query, [*tokens]
        ends_there = ends_with(tokens, query.span, query.before)
        retry = replace(retry, ends_with_before=retry.ends_with_before or ends_there)
        words = [
            timed
            for timed in words_inside(tokens, query.span, query.before, query.after)
            if self._has_speech_near(timed, retry.speech)
        ]
        before = total(self._missing_speech(query, retry.best, retry.speech))
        if total(self._missing_speech(query, words, retry.speech)) < before:
            retry = replace(retry, best=tuple(words))
        return self._next(retry, NO_WORDS_REASON)

    def _next(self, retry: Retry, reason: str) -> Retry | None:
        """The next try; or None, and findings, where the speech has its words or nothing more can be tried."""
        missing = self._missing_speech(retry.query, retry.best, retry.speech)
        if missing and (window := next(retry.further, None)) is not None:
            cost = seconds(len(window.samples))
            if self.findings.retranscribed_seconds + cost <= self._allowance:
                self.findings.retranscribed_seconds += cost
                self._open += 1
                return replace(retry, window=window)
        if retry.best:
            tokens = tuple(token for timed in retry.best for token in timed.tokens)
            self.findings.splices.append(Splice(retry.query.span, tokens))
        if self._is_rest_of_word_before(retry, missing):
            missing = []
        self.findings.gaps += [Gap(start=gap.start, end=gap.end, reason=reason) for gap in missing]
        return None

    @property
    def _allowance(self) -> float:
        return self._rules.spare_seconds + self._rules.max_share * self._cut_seconds

    def _missing_speech(
        self, query: UntranscribedSpan, words: Iterable[TimedWord], speech: Sequence[Span]
    ) -> list[Span]:
        """The speech in an untranscribed span that has no words, those found by retries included."""
        missing: list[Span] = []
        span, edge = query.span, self._rules.edge_seconds
        for free in uncovered((timed.cover for timed in words), span):
            first = free.start + (0.0 if free.start == span.start and query.before is None else edge)
            last = free.end - (0.0 if free.end == span.end and query.after is None else edge)
            found = clipped(speech, Span(first, last))
            is_long = free == span or free.seconds > self._rules.gap_seconds
            if is_long and total(found) >= self._rules.min_speech_seconds:
                missing += merge_close(found, self._rules.gap_seconds)
        return missing

    def _is_rest_of_word_before(self, retry: Retry, missing: Sequence[Span]) -> bool:
        """Whether the speech without words can be the end of the word before it, which was heard again, alone."""
        last = retry.query.before_may_end + self._rules.edge_seconds
        return retry.ends_with_before and not retry.best and all(span.end <= last for span in missing)

    def _has_speech_near(self, timed: TimedWord, speech: Sequence[Span]) -> bool:
        return bool(clipped(speech, timed.cover.grown(self._rules.near_seconds)))

    def _examine_ready(self) -> list[VadQuery]:
        queries: list[VadQuery] = []
        for audited in self._held:
            if audited.is_ready:
                queries += queries_for(audited, self._rules)
                audited.examined = True
        done = [audited for audited in self._held if audited.is_done]
        self._held = [audited for audited in self._held if not audited.is_done]
        for audited in done:
            audited.unlink()
        self._open += len(queries)
        self.findings.queried += [query.span for query in queries if isinstance(query, UntranscribedSpan)]
        self.findings.queried_seconds += sum(seconds(len(query.window.samples)) for query in queries)
        return queries
