"""Omissions: what the audit asks, finds and repairs where an engine was deaf at first hearing, and where it was not.

The ten-minute recordings through the tiny model, the detector and the audit as the job has them, one thread for all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise

from benchmarks.joins import Speech, errors, material, plain, tiny
from benchmarks.report import Measurement
from benchmarks.transcription import Transcribed, tiny_engine, transcribed
from gpu_job.asr.recognizer import SpeechModel
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.samples import seconds
from gpu_job.audit.evidence import TimedWord, timed_words
from gpu_job.audit.intervals import Span
from gpu_job.audit.queries import AuditRules
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.task import Task
from gpu_job.settings import JobSettings
from gpu_job.transcription.setup import PipelineOptions
from infra.recordings import TrueWord
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.keyterms.terms import Keyterm
from shared.transcript.model import Word

CHUNK_SECONDS: float = JobSettings.model_fields["chunk_seconds"].default
BUDGETS = {"default budget": AuditRules(), "no limit": AuditRules(max_share=10.0)}
EVERY = 4
"""One chunk in so many is blanked; in as many runs, each chunk once."""
HOLE_SECONDS = (2.0, 3.0, 6.0)
APART_SECONDS = 40.0
"""One omission at a random place of each such stretch."""
SEEDS = (1, 2)
SAME_SECONDS = 0.5
"""By how much two transcripts may differ about the time of a word."""


class LossyEngine:
    """The tiny model without the words of some stretches; the audit's windows it transcribes whole.

    Like an engine slower than the decoder, it gives no result before everything is cut.
    """

    engine = Engine.PARAKEET_CPU
    model = "tiny"
    failure: EngineFailed | None = None
    is_local = True

    def __init__(self, omissions: Sequence[Span] = (), known: Mapping[int, Sequence[Token]] | None = None) -> None:
        """`omissions`: the words that begin in one of them are missed. `known`: tokens by a chunk's first sample."""
        self._omissions = omissions
        self._known = known or {}
        self._queued: list[Task] = []

    def keyterm_support(self, terms: tuple[Keyterm, ...], model: object = None) -> None:
        """Nobody asks."""

    def model_of(self, model: SpeechModel | None) -> str:
        """There is one."""
        return self.model

    def holds(self, model: SpeechModel) -> bool:
        """No other."""
        return False

    def start(self) -> None:
        """Nothing is loaded here."""

    def stop(self) -> None:
        """Nothing runs by itself."""

    def has_tasks(self, job_id: str) -> bool:
        """Whether a chunk still waits."""
        return bool(self._queued)

    def drop(self, job_id: str) -> None:
        """There is one job only."""

    def add_feeder(self) -> None:
        """The first chunk comes."""

    def remove_feeder(self) -> None:
        """All is cut: transcribe."""
        for task in self._queued:
            start = seconds(task.chunk.start)
            known = self._known.get(task.chunk.start)
            tokens = [token.later(-start) for token in known] if known is not None else _tokens(task)
            spoken = [token.later(start) for token in tokens]
            task.complete(self.engine, [token.later(-start) for token in _without(spoken, self._omissions)])

    def submit(self, task: Task, *, wait: bool) -> None:
        """A chunk waits; a window of the audit is transcribed at once."""
        if task.urgent:
            task.complete(self.engine, _tokens(task))
        else:
            self._queued.append(task)


@dataclass(frozen=True)
class Baseline:
    """A recording, and the result of each of its chunks before anything is missed."""

    speech: Speech
    cuts: CutRules
    results: Sequence[ChunkResult]

    @cached_property
    def words(self) -> Sequence[Word]:
        """Of the transcript without omissions and without audit."""
        return self.transcribed((), None).transcript.words

    def transcribed(self, omissions: Sequence[Span], rules: AuditRules | None) -> Transcribed:
        """The recording through the job's pipeline, by an engine that misses these omissions. None: without audit."""
        chain = EngineChain()
        chain.add(LossyEngine(omissions, {result.start: result.tokens for result in self.results}))
        return transcribed(self.speech.path, chain, PipelineOptions(cuts=self.cuts, audit=rules))


@cache
def baselines_of(kind: str, longest: float) -> tuple[Baseline, ...]:
    """Of each recording, cut into chunks of so many seconds."""
    cuts = CutRules(max_seconds=longest)
    return tuple(
        Baseline(speech, cuts, transcribed(speech.path, tiny_engine(), PipelineOptions(cuts=cuts, audit=None)).results)
        for speech in material()[kind]
    )


def _tokens(task: Task) -> list[Token]:
    return tiny().transcribe([task.chunk.samples])[0]


@dataclass
class Tally:
    """What became of the omissions, and of the words in them."""

    omissions: int = 0
    """With as much speech as the audit asks for before it has anything decoded again."""
    found: int = 0
    """Of these: every word that was lost was shown to the detector."""
    shorter: int = 0
    """Omissions with less speech."""
    shorter_found: int = 0
    reported: int = 0
    """Omissions of both kinds whose words are not all back, with a gap in the coverage."""
    lost: int = 0
    """Words."""
    restored: int = 0
    """Words that are back as they were recognized before."""
    misheard: int = 0
    """Words with another in their place."""
    silent: int = 0
    """Words lost without a gap."""
    retranscribed_seconds: float = 0.0
    audio_seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    """Against the truth, after repair."""
    errors_before: Counter[str] = field(default_factory=Counter)
    """Without any omission."""

    def add(self, baseline: Baseline, omissions: Sequence[Span], rules: AuditRules) -> None:
        """One recording, these omissions missed at first, audited and repaired."""
        audited = baseline.transcribed(omissions, rules)
        whole, repaired = baseline.words, audited.transcript.words
        findings = audited.findings
        gaps = [Span(gap.start, gap.end) for gap in findings.gaps]
        for omission in omissions:
            lost = [word for word in whole if omission.start <= word.start < omission.end]
            if lost:
                self._count_found(lost, findings.queried, rules.min_speech_seconds)
                is_reported = any(omission.common(gap).seconds > 0 for gap in gaps)
                self._count_words(len(lost), _said(whole, omission), _said(repaired, omission), is_reported=is_reported)
        self.retranscribed_seconds += findings.retranscribed_seconds
        self.audio_seconds += seconds(len(baseline.speech.samples))
        self.errors += _errors(baseline.speech.words, repaired)
        self.errors_before += _errors(baseline.speech.words, whole)

    def summary(self, runs: int) -> str:
        """All figures but `found`, as one sentence."""
        share = 100 * self.retranscribed_seconds / self.audio_seconds
        return (
            f"{self.restored} of {self.lost} words restored, {self.misheard} misheard, {self.silent} lost silently,"
            f" the others in {self.reported} gaps; decoded again {share:.1f} %;"
            f" errors a run {self.errors.total() / runs:.1f}, without any {self.errors_before.total() / runs:.1f};"
            f" {self.shorter_found} of {self.shorter} shorter ones found"
        )

    def _count_found(self, lost: Sequence[Word], asked: Sequence[Span], least_seconds: float) -> None:
        found = all(any(span.start <= word.start < span.end for span in asked) for word in lost)
        if sum(word.end - word.start for word in lost) >= least_seconds:
            self.omissions, self.found = self.omissions + 1, self.found + found
        else:
            self.shorter, self.shorter_found = self.shorter + 1, self.shorter_found + found

    def _count_words(self, lost: int, before: Counter[str], after: Counter[str], *, is_reported: bool) -> None:
        missing, new = (before - after).total(), (after - before).total()
        self.lost += lost
        self.restored += lost - missing
        self.reported += missing > 0 and is_reported
        if not is_reported:
            self.misheard += min(missing, new)
            self.silent += max(0, missing - new)


def blank_chunks(baseline: Baseline, seed: int) -> list[Span]:
    """Every fourth chunk, from one of the first four on."""
    return [Span(seconds(chunk.start), seconds(chunk.end)) for chunk in baseline.results[seed % EVERY :: EVERY]]


def scattered(baseline: Baseline, seed: int, length: float) -> list[Span]:
    """Omissions of one length at random places."""
    rng, whole = random.Random(seed), seconds(len(baseline.speech.samples))
    places = [
        rng.uniform(at, at + APART_SECONDS / 2) for at in range(0, int(whole - APART_SECONDS), int(APART_SECONDS))
    ]
    return [Span(place, place + length) for place in places]


def across_joins(baseline: Baseline, seed: int, length: float) -> list[Span]:
    """Omissions of one length with every second join in the middle."""
    middles = [seconds(before.end + after.start) / 2 for before, after in pairwise(baseline.results)]
    return [Span(middle - length / 2, middle + length / 2) for middle in middles[seed % 2 :: 2]]


def kinds() -> Iterator[tuple[str, list[list[tuple[Baseline, list[Span]]]]]]:
    """Each kind of omission: its name, and in every run the recordings with their omissions."""
    baselines = baselines_of("speech", CHUNK_SECONDS)
    yield (
        "every fourth chunk blank",
        [[(baseline, blank_chunks(baseline, seed)) for baseline in baselines] for seed in range(EVERY)],
    )
    for length in HOLE_SECONDS:
        for name, places in (("at random places", scattered), ("across joins", across_joins)):
            runs = [[(baseline, places(baseline, seed, length)) for baseline in baselines] for seed in SEEDS]
            yield f"{length:g} s blank {name}", runs


def nothing_injected(kind: str, longest: float) -> Measurement:
    """The audit where the engine missed nothing: it must neither drop a true word nor report a gap."""
    gaps = true_dropped = dropped = queries = 0
    asked = decoded = 0.0
    before, after = Counter[str](), Counter[str]()
    for baseline in baselines_of(kind, longest):
        audited = baseline.transcribed((), AuditRules())
        findings = audited.findings
        gaps, dropped, queries = (
            gaps + len(findings.gaps),
            dropped + len(findings.dropped),
            queries + len(findings.queried),
        )
        true_dropped += sum(_is_true(recognized, baseline.speech.words) for recognized in findings.dropped)
        asked, decoded = asked + findings.queried_seconds, decoded + findings.retranscribed_seconds
        before += _errors(baseline.speech.words, baseline.words)
        after += _errors(baseline.speech.words, audited.transcript.words)
    return Measurement(
        f"omissions: {kind}, none injected, CHUNK_SECONDS={longest:g}: gaps and true words dropped",
        gaps + true_dropped,
        f"({queries} queries on {asked:.0f} s, {decoded:.0f} s decoded again, {dropped} words dropped)",
        f"{after.total()} errors; not audited: {before.total()}",
        "0",
        gaps + true_dropped == 0,
    )


def omissions() -> Iterator[Measurement]:
    """Nothing injected; then several kinds, with the default budget of extra decoding and without limit."""
    for kind in material():
        for longest in (CHUNK_SECONDS, 20.0):
            yield nothing_injected(kind, longest)
    for name, runs in kinds():
        for budget, rules in BUDGETS.items():
            tally = Tally()
            for run in runs:
                for baseline, places in run:
                    tally.add(baseline, places, rules)
            yield Measurement(
                f"omissions: {name}, {budget}: found",
                tally.found,
                f"of {tally.omissions} omissions with speech",
                tally.summary(runs=len(runs)),
                "all found",
                tally.found == tally.omissions,
            )


def _without(tokens: Iterable[Token], omissions: Sequence[Span]) -> list[Token]:
    kept = [
        timed
        for timed in timed_words(tokens)
        if not any(omission.start <= timed.word.start < omission.end for omission in omissions)
    ]
    return [token for timed in kept for token in timed.tokens]


def _said(words: Iterable[Word], omission: Span) -> Counter[str]:
    """The words in and near an omission."""
    near = omission.grown(SAME_SECONDS)
    return Counter(plain(word.text) for word in words if near.start <= word.start < near.end)


def _errors(truth: Sequence[TrueWord], recognized: Sequence[Word]) -> Counter[str]:
    return errors(truth, recognized, ()).elsewhere


def _is_true(recognized: TimedWord, truth: Sequence[TrueWord]) -> bool:
    said, at = plain(recognized.word.text), recognized.word.start
    return any(plain(true.word) == said and abs(true.start - at) <= SAME_SECONDS for true in truth)
