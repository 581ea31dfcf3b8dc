"""What an audit found, and a channel's tokens after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from gpu_job.asr.tokens import Token, whole
from gpu_job.audit.evidence import TimedWord, heard_words
from gpu_job.audit.intervals import Span
from shared.transcript.model import Gap


@dataclass(frozen=True)
class Splice:
    """Words heard in a stretch that had none."""

    hole: Span
    tokens: tuple[Token, ...]
    """At least one; whole words."""


@dataclass
class Findings:
    """Of one channel of one upload. Seconds are of audio."""

    splices: list[Splice] = field(default_factory=list)
    dropped: list[TimedWord] = field(default_factory=list)
    """Words where nobody speaks."""
    gaps: list[Gap] = field(default_factory=list)
    """Speech without words."""
    asked: list[Span] = field(default_factory=list)
    """Stretches without words that the detector was asked about."""
    asked_seconds: float = 0.0
    """Shown to the detector."""
    decoded_seconds: float = 0.0
    """Given to the engine once more."""
    audited: bool = True
    """False where a question found no answer."""


def amended(tokens: Iterable[Token], findings: Findings) -> list[Token]:
    """A channel's merged tokens in time order, without the dropped words and with the repaired ones. Order is kept."""
    dropped = {token for heard in findings.dropped for token in heard.tokens}
    splices = deque(sorted(findings.splices, key=lambda splice: splice.hole))
    after: list[Token] = []
    for token in tokens:
        # Before a word, never within one.
        while token.begins_word and splices and splices[0].hole.start <= token.start:
            _append(after, splices.popleft())
        if token not in dropped:
            after.append(token)
    for splice in splices:
        _append(after, splice)
    return after


def _append(tokens: list[Token], splice: Splice) -> None:
    if tokens:
        # The word before may have been timed right through the hole.
        last = tokens[-1]
        tokens[-1] = last._replace(end=max(last.start, min(last.end, splice.tokens[0].start)))
    tokens.extend(splice.tokens)


EDGE_SECONDS = 0.3
"""By how much two windows may differ about a word's time."""


def fitting(tokens: Iterable[Token], hole: Span, before: str | None, after: str | None) -> list[TimedWord]:
    """Of what was heard in a window around a hole, the whole words inside it.

    `before` and `after` are the words at its edges. A copy of one, timed a little differently, is nothing new; but
    where the window has the word at its old place too, somebody said it twice.
    """
    words = heard_words(tokens)
    within = [heard for heard in words if hole.start <= _middle(heard) < hole.end]
    ahead = [heard for heard in words if _middle(heard) < hole.start]
    behind = [heard for heard in words if _middle(heard) >= hole.end]
    if within and _says(within[0], before) and not (ahead and _says(ahead[-1], before)):
        within = within[1:] if within[0].word.start < hole.start + EDGE_SECONDS else within
    if within and _says(within[-1], after) and not (behind and _says(behind[0], after)):
        within = within[:-1] if within[-1].word.end > hole.end - EDGE_SECONDS else within
    # A window may begin with the rest of a word; in the text that is a word of its own.
    return [heard._replace(tokens=tuple(whole(heard.tokens))) for heard in within]


def _middle(heard: TimedWord) -> float:
    return (heard.word.start + heard.word.end) / 2


def _says(heard: TimedWord, text: str | None) -> bool:
    return text is not None and _bare(heard.word.text) == _bare(text)


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
