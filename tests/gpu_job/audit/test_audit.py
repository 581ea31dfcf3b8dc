"""The audit, pure: a speaker of numbered words, an engine that loses some, and a detector that knows the truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.asr.tokens import Token, ensure_word_start, words_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.audit.audit import NO_WORDS_REASON, RETRY_LIMIT_REASON, Audit
from gpu_job.audit.findings import Findings, Splice, apply_findings, words_inside
from gpu_job.audit.intervals import Span
from gpu_job.audit.queries import AuditRules, UntranscribedSpan, VadQuery
from tests.support.finished_audit import Recognize, finished_audit, plain_words
from tests.support.sounds import noise, silence

WORD, STEP = 0.3, 0.4
"""Seconds of a word, and from one word to the next."""


class Talk:
    """Speech of the words " 0", " 1" and so on, without a pause but for the silences given."""

    def __init__(self, length: float, silences: Iterable[Span] = ()) -> None:
        quiet = list(silences)
        starts = [n * STEP for n in range(int(length / STEP))]
        self.tokens = [
            Token(f" {n}", start, start + WORD, 0.9)
            for n, start in enumerate(starts)
            if not any(span.common(Span(start, start + WORD)).seconds > 0 for span in quiet)
        ]
        self.samples = noise(length, -75.0)
        for token in self.tokens:
            begin, end = round(token.start * SAMPLE_RATE), round(token.end * SAMPLE_RATE)
            self.samples[begin:end] += noise(WORD + 1, -20.0, seed=1)[: end - begin]

    def chunk(self, start: float, end: float) -> Chunk:
        begin = round(start * SAMPLE_RATE)
        return Chunk(begin, self.samples[begin : round(end * SAMPLE_RATE)])

    def recognized(self, window: Chunk) -> list[Token]:
        """Every word that is wholly in the window."""
        begin, end = seconds(window.start) - 0.01, seconds(window.end) + 0.01
        return [token for token in self.tokens if begin <= token.start and token.end <= end]

    def speech(self, window: Chunk, _: VadQuery) -> list[tuple[float, float]]:
        start = seconds(window.start)
        return [(token.start - start, token.end - start) for token in self.recognized(window)]

    def missing(self, *spans: Span) -> Recognize:
        """An engine that recognizes no word in these spans."""

        def recognize(window: Chunk) -> list[Token]:
            return [
                token for token in self.recognized(window) if not any(s.start <= token.start < s.end for s in spans)
            ]

        return recognize


def merged(chunks: Iterable[Chunk], recognize: Recognize) -> list[Token]:
    """What the chunks' answers come to, each token once."""
    return sorted({token for chunk in chunks for token in recognize(chunk)}, key=lambda token: token.start)


OMISSIONS = [
    ("between words", [(0, 20)], Span(8, 11)),
    ("from the beginning", [(0, 20)], Span(0, 3)),
    ("to the end", [(0, 20)], Span(17, 20)),
    ("a short one at the end", [(0, 20)], Span(19, 20)),
    ("across a join", [(0, 10), (10, 20)], Span(9, 11)),
    ("across a join that overlaps", [(0, 11), (9, 20)], Span(8.8, 11.3)),
    ("a blank chunk", [(0, 8), (8, 14), (14, 20)], Span(8, 14)),
    ("three blank chunks", [(0, 5), (5, 10), (10, 15), (15, 20)], Span(4.3, 15.2)),
    ("blank chunks that overlap", [(0, 7), (5, 12), (10, 20)], Span(4.7, 12.4)),
    ("a blank upload", [(0, 6), (6, 12)], Span(0, 20)),
]


@pytest.mark.parametrize(("places", "omission"), [case[1:] for case in OMISSIONS], ids=[case[0] for case in OMISSIONS])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_an_omission_is_found_and_its_words_put_back(
    places: list[tuple[int, int]], omission: Span, seed: int | None
) -> None:
    talk = Talk(20)
    chunks = [talk.chunk(*place) for place in places]
    first = talk.missing(omission)
    audit = finished_audit(chunks, first, again=talk.recognized, speech=talk.speech, seed=seed)
    repaired = list(apply_findings(merged(chunks, first), audit.findings))
    expected = merged([talk.chunk(places[0][0], places[-1][1])], talk.recognized)
    assert plain_words(repaired) == plain_words(expected)
    assert audit.findings.gaps == []
    assert audit.findings.retranscribed_seconds > 0


def test_an_omission_reaches_over_silence_that_was_left_out() -> None:
    talk = Talk(20, [Span(9.6, 11.2)])
    chunks = [talk.chunk(0, 9.9), talk.chunk(10.9, 20)]
    audit = finished_audit(
        chunks, talk.missing(Span(9, 9.5), Span(11.2, 11.8)), again=talk.recognized, speech=talk.speech
    )
    assert [plain_words(splice.tokens) for splice in audit.findings.splices] == [["23", "28", "29"]]


def test_a_pause_raises_no_query() -> None:
    talk = Talk(20, [Span(5, 9)])
    audit = Audit()
    assert audit.cut(talk.chunk(0, 20)) == audit.transcribed(0, talk.tokens) == audit.end() == []
    assert audit.is_done


def test_a_word_that_ends_too_late_does_not_hide_a_hole() -> None:
    talk = Talk(20)
    chunk, omission = talk.chunk(0, 20), Span(8, 13)
    speech = talk.missing(omission)(chunk)
    smeared = [token._replace(end=13.0) if token.text == " 19" else token for token in speech]
    audit = finished_audit([chunk], lambda _: smeared, again=talk.recognized, speech=talk.speech)
    repaired = list(apply_findings(smeared, audit.findings))
    # A word of two letters may have lasted for a second: what was said in it is not looked for.
    assert plain_words(repaired) == [str(n) for n in range(50) if n not in (20, 21)]
    assert all(a.end <= b.start for a, b in itertools.pairwise(repaired))


def test_what_stays_empty_is_a_gap_as_long_as_the_speech() -> None:
    talk = Talk(20, [Span(8, 9), Span(12, 13)])
    chunk, omission = talk.chunk(0, 20), Span(8, 13)
    windows: list[Chunk] = []

    def again(window: Chunk) -> list[Token]:
        windows.append(window)
        return talk.missing(omission)(window)

    audit = finished_audit([chunk], talk.missing(omission), again=again, speech=talk.speech)
    (gap,) = audit.findings.gaps
    assert (gap.start, gap.end, gap.reason) == (
        pytest.approx(9.2, abs=0.21),
        pytest.approx(11.9, abs=0.21),
        NO_WORDS_REASON,
    )
    assert audit.findings.splices == []
    # Each try begins elsewhere, with all of the speech and nothing that is not.
    assert len({window.start for window in windows}) == len(windows) >= 3
    assert all(window.start < 9.2 * SAMPLE_RATE and window.end > 11.9 * SAMPLE_RATE for window in windows)
    assert audit.findings.retranscribed_seconds == pytest.approx(
        sum(seconds(len(window.samples)) for window in windows)
    )


def test_a_second_try_may_recognize_what_the_first_did_not() -> None:
    talk, omission, tries = Talk(20), Span(8, 13), itertools.count()

    def again(window: Chunk) -> list[Token]:
        return [] if next(tries) == 0 else talk.recognized(window)

    chunk = talk.chunk(0, 20)
    audit = finished_audit([chunk], talk.missing(omission), again=again, speech=talk.speech)
    assert plain_words(list(apply_findings(talk.missing(omission)(chunk), audit.findings))) == plain_words(talk.tokens)
    assert next(tries) == 2


@pytest.mark.parametrize(
    ("word", "sounds_until", "heard", "gaps"),
    [
        (" Maria.", 10.5, " Maria.", 0),
        (" Maria.", 10.9, " Maria.", 1),  # longer than the word takes
        (" Maria.", 10.5, "", 1),  # the word is not heard again: it may be another one
        (" Maria.", 10.5, " Helen", 1),
        (" remembered", 10.5, " remembered", 0),
        (" remembered", 10.8, " remembered", 1),  # later than its end can be: a "Thomas" was lost there
    ],
)
def test_the_end_of_a_word_that_was_heard_as_too_short_is_no_gap(
    word: str, sounds_until: float, heard: str, gaps: int
) -> None:
    """Found where engines meet: ` Maria.` as one token of 0.16 s, and sound to its end 0.4 s later."""
    sound = noise(14, -75.0)
    sound[8 * SAMPLE_RATE : round(sounds_until * SAMPLE_RATE)] = noise(3, -20.0)[
        : round((sounds_until - 8) * SAMPLE_RATE)
    ]
    first = [*(Token(f" {n}", n, n + 0.9, 0.9) for n in range(8, 10)), Token(word, 9.95, 10.1, 0.9)]

    def again(window: Chunk) -> list[Token]:
        return [first[1], Token(heard, 9.97, 10.13, 0.9)] if heard else [first[1]]

    def speech(window: Chunk, _: VadQuery) -> list[tuple[float, float]]:
        start = seconds(window.start)
        return [(max(0.0, 8.0 - start), sounds_until - start)]

    audit = finished_audit([Chunk(0, sound)], lambda _: first, again=again, speech=speech)
    assert len(audit.findings.gaps) == gaps
    assert audit.findings.retranscribed_seconds > 0


def test_half_a_repair_is_kept_and_the_rest_is_a_gap() -> None:
    talk, chunk = Talk(20), Talk(20).chunk(0, 20)
    audit = finished_audit([chunk], talk.missing(Span(5, 13)), again=talk.missing(Span(9, 13)), speech=talk.speech)
    assert plain_words(audit.findings.splices[0].tokens) == [str(n) for n in range(13, 23)]
    (gap,) = audit.findings.gaps
    assert gap.start == pytest.approx(9.3, abs=0.5)
    assert gap.end == pytest.approx(13, abs=0.5)


def test_beyond_its_share_of_decoding_omissions_are_gaps() -> None:
    talk = Talk(60)
    spans = [Span(at, at + 3) for at in range(5, 60, 10)]
    rules = AuditRules(max_share=0.1, spare_seconds=10)
    chunks = [talk.chunk(at, at + 20) for at in range(0, 60, 20)]
    audit = finished_audit(chunks, talk.missing(*spans), again=talk.recognized, speech=talk.speech, rules=rules)
    found = audit.findings
    assert found.retranscribed_seconds <= 10 + 0.1 * 60
    assert len(found.splices) >= 2
    assert len(found.splices) + len(found.gaps) == len(spans)
    assert {gap.reason for gap in found.gaps} == {RETRY_LIMIT_REASON}


def test_a_failed_chunk_is_a_gap_already() -> None:
    talk = Talk(20)
    chunks = [talk.chunk(0, 10), talk.chunk(10, 20)]
    audit = finished_audit(chunks, talk.recognized, speech=talk.speech, failed=[chunks[1].start])
    assert audit.findings == Findings()


def test_words_without_speech_are_dropped() -> None:
    talk = Talk(20, [Span(6, 14)])
    chunk = talk.chunk(0, 20)
    hallucinated = [Token(" m", 10.0, 10.1, 0.9), Token("m.", 10.1, 10.2, 0.9)]
    tokens = sorted([*talk.tokens, *hallucinated], key=lambda token: token.start)
    audit = finished_audit([chunk], lambda _: tokens, speech=talk.speech)
    assert [timed.word.text for timed in audit.findings.dropped] == ["mm."]
    assert list(apply_findings(tokens, audit.findings)) == talk.tokens


@pytest.mark.parametrize("off", [-0.2, 0.0, 0.2])
def test_a_lone_word_with_speech_near_stays(off: float) -> None:
    talk = Talk(20, [Span(6, 9.9), Span(10.1, 14)])
    lone = Token(" yes", 10.0, 10.2, 0.1)
    tokens = sorted([*talk.tokens, lone], key=lambda token: token.start)

    def speech(window: Chunk, _: VadQuery) -> list[tuple[float, float]]:
        start = 10.0 + off - seconds(window.start)
        return [(start, start + 0.2)]

    audit = finished_audit([talk.chunk(0, 20)], lambda _: tokens, speech=speech)
    assert audit.findings.dropped == []
    assert audit.findings.queried_seconds > 0


def test_a_dropped_word_whose_first_piece_begins_none_is_dropped_whole() -> None:
    rest_of_a_word = [Token("ev", 0.2, 0.3, 0.1), Token("er", 0.3, 0.5, 0.1)]
    audit = finished_audit([Chunk(0, noise(5, -30.0))], lambda _: rest_of_a_word, speech=lambda *_: [])
    assert list(apply_findings(ensure_word_start(rest_of_a_word), audit.findings)) == []


def test_after_a_failed_query_the_coverage_is_not_audited() -> None:
    talk, audit = Talk(20), Audit()
    audit.cut(talk.chunk(0, 20))
    audit.transcribed(0, talk.missing(Span(5, 9))(talk.chunk(0, 20)))
    (query,) = audit.end()
    assert isinstance(query, UntranscribedSpan)
    assert not audit.is_done
    audit.query_failed(query)
    assert audit.is_done
    assert not audit.findings.audited


def test_audio_is_freed_as_soon_as_its_neighbours_are_known() -> None:
    talk, audit = Talk(100), Audit()
    for at in range(0, 100, 10):
        chunk = talk.chunk(at, at + 10)
        audit.cut(chunk)
        audit.transcribed(chunk.start, talk.recognized(chunk))
        assert audit.held_seconds <= 20
    audit.end()
    assert audit.held_seconds == 0


def test_a_second_result_changes_nothing() -> None:
    talk, audit = Talk(20), Audit()
    audit.cut(talk.chunk(0, 20))
    audit.transcribed(0, talk.tokens)
    assert audit.transcribed(0, []) == audit.transcribed(7, []) == audit.end() == []


@pytest.mark.parametrize("samples", [silence(20), silence(0.001), noise(20, -75)], ids=["silence", "short", "faint"])
def test_silence_raises_no_query(samples: Samples) -> None:
    audit = Audit()
    assert [*audit.cut(Chunk(0, samples)), *audit.transcribed(0, []), *audit.end()] == []
    assert audit.is_done


def test_a_word_recognized_twice_by_two_windows_is_one_and_said_twice_is_two() -> None:
    omission = Span(5.0, 8.0)
    again = [Token(" very", 5.1, 5.4), Token(" old", 6.0, 6.3), Token(" house", 7.8, 8.1)]
    assert [timed.word.text for timed in words_inside(again, omission, "Very", "house.")] == ["old"]
    twice = [Token(" very", 4.6, 4.9), *again, Token(" house", 8.3, 8.6)]
    assert [timed.word.text for timed in words_inside(twice, omission, "Very", "house.")] == ["very", "old", "house"]


def test_a_splice_stands_between_words_never_within() -> None:
    kept = [Token(" be", 1.0, 4.0), Token("fore", 4.0, 4.2), Token(" after", 6.0, 6.3)]
    splice = Splice(Span(3.0, 6.0), (Token(" now", 4.1, 4.4),))
    assert plain_words(list(apply_findings(kept, Findings(splices=[splice])))) == ["before", "now", "after"]
    assert plain_words(list(apply_findings(kept[:2], Findings(splices=[splice])))) == ["before", "now"]
    assert plain_words(list(apply_findings([], Findings(splices=[splice])))) == ["now"]


@st.composite
def talks(draw: st.DrawFn) -> tuple[Talk, list[Chunk], list[Span]]:
    """Speech in chunks that touch, overlap or leave out silence, and what the engine misses."""
    ends = list(itertools.accumulate(draw(st.lists(st.integers(3, 12), min_size=2, max_size=5))))
    overlaps = draw(st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0]), min_size=len(ends), max_size=len(ends)))
    places = draw(st.lists(st.tuples(st.floats(0, ends[-1]), st.floats(2, 9)), max_size=3))
    missing = [Span(at, at + long) for at, long in places]
    talk = Talk(float(ends[-1]))
    starts = [0.0, *(end - overlap for end, overlap in zip(ends, overlaps, strict=True))]
    return talk, [talk.chunk(start, end) for start, end in zip(starts, ends, strict=False)], missing


@settings(max_examples=40, deadline=None)
@given(talks(), st.integers(0, 5))
def test_whatever_is_lost_comes_back_in_order_and_nothing_else_moves(
    case: tuple[Talk, list[Chunk], list[Span]], seed: int
) -> None:
    talk, chunks, missing = case
    first = talk.missing(*missing)
    before = merged(chunks, first)
    generous = AuditRules(max_share=10)
    audit = finished_audit(chunks, first, again=talk.recognized, speech=talk.speech, seed=seed, rules=generous)
    after = list(apply_findings(before, audit.findings))
    assert [token.start for token in after] == sorted(token.start for token in after)
    said = plain_words(before)
    assert [word for word in plain_words(after) if word in said] == said
    for splice in audit.findings.splices:
        assert all(splice.span.start <= (t.start + t.end) / 2 < splice.span.end for t in splice.tokens)
    assert audit.held_seconds == 0
    # What is still missing are stretches too short to ask about.
    missing = [int(token.text) for token in merged(chunks, talk.recognized) if token not in set(after)]
    runs = itertools.groupby(enumerate(missing), lambda pair: pair[1] - pair[0])
    assert all(len(list(run)) * STEP <= generous.gap_seconds for _, run in runs)
    in_order = finished_audit(chunks, first, again=talk.recognized, speech=talk.speech, rules=generous)
    assert words_of(list(apply_findings(before, in_order.findings))) == words_of(after)
