"""What an audit found, and how it changes a channel's tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from gpu_job.asr.tokens import Token, ensure_word_start
from gpu_job.audit.evidence import TimedWord, timed_words
from gpu_job.audit.intervals import Span
from shared.transcript.model import Gap


@dataclass(frozen=True)
class Splice:
    """Words recognized in a span that had none."""

    span: Span
    tokens: tuple[Token, ...]
    """At least one; whole words."""


@dataclass
class Findings:
    """Of one channel of one upload. Seconds are of audio."""

    splices: list[Splice] = field(default_factory=list)
    dropped: list[TimedWord] = field(default_factory=list)
    """Words without speech."""
    gaps: list[Gap] = field(default_factory=list)
    """Speech without words."""
    queried: list[Span] = field(default_factory=list)
    """Spans without words that were shown to the speech detector."""
    queried_seconds: float = 0.0
    """All audio shown to the speech detector."""
    retranscribed_seconds: float = 0.0
    """Audio transcribed again."""
    audited: bool = True
    """False where the detector failed."""


def merged_findings(parts: Iterable[Findings]) -> Findings:
    """What several audits found, each of other chunks of one channel, as one audit of all of them finds it."""
    merged = Findings()
    for part in parts:
        merged.splices += part.splices
        merged.dropped += part.dropped
        merged.gaps += part.gaps
        merged.queried += part.queried
        merged.queried_seconds += part.queried_seconds
        merged.retranscribed_seconds += part.retranscribed_seconds
        merged.audited = merged.audited and part.audited
    return merged


def apply_findings(tokens: Iterable[Token], findings: Findings) -> Iterator[Token]:
    """A channel's merged tokens in time order, without the dropped words and with the repaired ones. Order is kept."""
    dropped = {token for timed in findings.dropped for token in timed.tokens}
    splices = deque(sorted(findings.splices, key=lambda splice: splice.span))
    last: Token | None = None
    """Not given out yet: a splice behind it may shorten it."""
    for token in tokens:
        # Before a word, never within one.
        while token.begins_word and splices and splices[0].span.start <= token.start:
            last = yield from _spliced(last, splices.popleft())
        if token not in dropped:
            if last is not None:
                yield last
            last = token
    for splice in splices:
        last = yield from _spliced(last, splice)
    if last is not None:
        yield last


def _spliced(last: Token | None, splice: Splice) -> Generator[Token, None, Token]:
    """Gives out the token before a splice, and the splice but for its last token, which it returns."""
    if last is not None:
        # The word before may have been timed to the end of the span.
        yield last._replace(end=max(last.start, min(last.end, splice.tokens[0].start)))
    yield from splice.tokens[:-1]
    return splice.tokens[-1]


EDGE_SECONDS = 0.3
"""By how much two windows may differ about a word's time."""


def words_inside(tokens: Iterable[Token], span: Span, before: str | None, after: str | None) -> list[TimedWord]:
    """Of the tokens of a window around a span, the whole words inside the span.

    `before` and `after` are the words at its edges. A copy of one, timed a little differently, is not new; but
    where the window has the word at its old place too, it was said twice.
    """
    words = timed_words(tokens)
    within = [timed for timed in words if span.start <= _middle(timed) < span.end]
    ahead = [timed for timed in words if _middle(timed) < span.start]
    behind = [timed for timed in words if _middle(timed) >= span.end]
    if within and _has_text(within[0], before) and not (ahead and _has_text(ahead[-1], before)):
        within = within[1:] if within[0].word.start < span.start + EDGE_SECONDS else within
    if within and _has_text(within[-1], after) and not (behind and _has_text(behind[0], after)):
        within = within[:-1] if within[-1].word.end > span.end - EDGE_SECONDS else within
    # A window may begin with the rest of a word; in the text that is a word of its own.
    return [timed._replace(tokens=tuple(ensure_word_start(timed.tokens))) for timed in within]


def ends_with(tokens: Iterable[Token], span: Span, before: str | None) -> bool:
    """Whether the last word that a window around a span has up to its end is the word before it."""
    words = [timed for timed in timed_words(tokens) if _middle(timed) < span.end]
    return bool(words) and _has_text(words[-1], before)


def _middle(timed: TimedWord) -> float:
    return (timed.word.start + timed.word.end) / 2


def _has_text(timed: TimedWord, text: str | None) -> bool:
    return text is not None and _plain(timed.word.text) == _plain(text)


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
