"""The audit: which stretches to ask the speech detector about, what to decode again, what to splice and to drop.

A state machine for one channel of one upload, without threads or effects. It is told of every chunk as it is cut and,
in any order, of the words heard in it, and asks questions back; `gpu_job.audit.runner` has them answered. A chunk is
examined when its words and those of its neighbours are known, so its audio is soon let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpu_job.asr.tokens import Token, whole
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from gpu_job.audit.candidates import LONG_SILENCE_SECONDS, AuditedChunk, examine
from gpu_job.audit.evidence import TimedWord, heard_words
from gpu_job.audit.findings import Findings, Splice, fitting
from gpu_job.audit.intervals import Span, between, bridged, inside, total
from gpu_job.audit.questions import AuditRules, Hole, Retry, SuspectWords, VadQuery, windows
from shared.transcript.model import Gap

NO_WORDS = "Somebody speaks here, but no words could be made out."
NO_MORE = "Somebody speaks here, but no more audio may be decoded a second time."


class Audit:
    """Its methods answer with what is to be asked or decoded next. Not thread safe."""

    def __init__(self, rules: AuditRules | None = None) -> None:
        self.findings = Findings()
        self._rules = rules or AuditRules()
        self._held: list[AuditedChunk] = []
        self._last: AuditedChunk | None = None
        self._cut_seconds = 0.0
        self._open = 0
        """Questions and retries without an answer."""
        self._ended = False

    def cut(self, chunk: Chunk) -> list[VadQuery]:
        """The next chunk was cut."""
        last = self._last
        near = last is not None and seconds(chunk.start - last.chunk.end) <= LONG_SILENCE_SECONDS
        section = AuditedChunk(chunk, last if near else None)
        if last is not None:
            last.is_followed, last.after = True, section if near else None
        self._held.append(section)
        self._last = section
        self._cut_seconds += seconds(len(chunk.samples))
        return self._examine_ready()

    def heard(self, start: int, tokens: Iterable[Token], *, failed: bool = False) -> list[VadQuery]:
        """The tokens of the chunk that begins at this sample, on the upload's clock; or that its engine failed.

        A second answer for the same chunk changes nothing.
        """
        for section in self._held:
            if section.chunk.start == start and section.words is None:
                section.words, section.failed = heard_words(whole([*tokens])), failed
                return self._examine_ready()
        return []

    def end(self) -> list[VadQuery]:
        """No more chunks will be cut."""
        self._ended = True
        if self._last is not None:
            self._last.is_followed, self._last = True, None
        return self._examine_ready()

    @property
    def is_settled(self) -> bool:
        """Whether all is heard, asked and answered."""
        return self._ended and self._open == 0 and not self._held

    @property
    def held_seconds(self) -> float:
        """Audio in hand, but for the windows of open questions."""
        return sum(section.span.seconds for section in self._held)

    def answer(self, question: VadQuery, speech: Sequence[tuple[float, float]]) -> Retry | None:
        """The detector's stretches, in seconds from the window's start -> what to decode again, if anything."""
        self._open -= 1
        start = seconds(question.window.start)
        found = tuple(Span(start + begin, start + end) for begin, end in speech)
        if isinstance(question, SuspectWords):
            self.findings.dropped += [heard for heard in question.words if not self._is_somebodys(heard, found)]
            return None
        missing = self._unheard(question, (), found)
        if not missing:
            return None
        further = windows(question, Span(missing[0].start, missing[-1].end))
        return self._next(Retry(question.window, question, found, further, ()), NO_MORE)

    def unanswered(self, question: VadQuery) -> None:
        """The detector failed on it: nobody vouches for the coverage any more."""
        self._open -= 1
        self.findings.audited = False

    def decoded(self, retry: Retry, tokens: Iterable[Token]) -> Retry | None:
        """What the engine heard in the retry's window, on the upload's clock -> what to decode next, if anything.

        An engine that failed heard nothing.
        """
        self._open -= 1
        hole = retry.hole
        words = [
            heard
            for heard in fitting(tokens, hole.span, hole.before, hole.after)
            if self._is_somebodys(heard, retry.speech)
        ]
        before = total(self._unheard(hole, retry.best, retry.speech))
        if total(self._unheard(hole, words, retry.speech)) < before:
            retry = replace(retry, best=tuple(words))
        return self._next(retry, NO_WORDS)

    def _next(self, retry: Retry, reason: str) -> Retry | None:
        """The next try; or None, and findings, where the speech has its words or nothing more can be tried."""
        missing = self._unheard(retry.hole, retry.best, retry.speech)
        if missing and (window := next(retry.further, None)) is not None:
            cost = seconds(len(window.samples))
            if self.findings.decoded_seconds + cost <= self._allowance:
                self.findings.decoded_seconds += cost
                self._open += 1
                return replace(retry, window=window)
        if retry.best:
            tokens = tuple(token for heard in retry.best for token in heard.tokens)
            self.findings.splices.append(Splice(retry.hole.span, tokens))
        self.findings.gaps += [Gap(start=gap.start, end=gap.end, reason=reason) for gap in missing]
        return None

    @property
    def _allowance(self) -> float:
        return self._rules.spare_seconds + self._rules.max_share * self._cut_seconds

    def _unheard(self, hole: Hole, words: Iterable[TimedWord], speech: Sequence[Span]) -> list[Span]:
        """The speech in a hole that the words found there leave without any."""
        missing: list[Span] = []
        whole, edge = hole.span, self._rules.edge_seconds
        for free in between((heard.cover for heard in words), whole):
            first = free.start + (0.0 if free.start == whole.start and hole.before is None else edge)
            last = free.end - (0.0 if free.end == whole.end and hole.after is None else edge)
            found = inside(speech, Span(first, last))
            is_long = free == whole or free.seconds > self._rules.gap_seconds
            if is_long and total(found) >= self._rules.min_speech_seconds:
                missing += bridged(found, self._rules.gap_seconds)
        return missing

    def _is_somebodys(self, heard: TimedWord, speech: Sequence[Span]) -> bool:
        return bool(inside(speech, heard.cover.grown(self._rules.near_seconds)))

    def _examine_ready(self) -> list[VadQuery]:
        questions: list[VadQuery] = []
        for section in self._held:
            if section.is_ready:
                questions += examine(section, self._rules)
                section.examined = True
        done = [section for section in self._held if section.is_done]
        self._held = [section for section in self._held if not section.is_done]
        for section in done:
            section.let_go()
        self._open += len(questions)
        self.findings.asked += [query.span for query in questions if isinstance(query, Hole)]
        self.findings.asked_seconds += sum(seconds(len(question.window.samples)) for question in questions)
        return questions
