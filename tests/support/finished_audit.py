"""An audit from beginning to end, with any speech detector and any recognizer."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence

from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import Samples, seconds
from gpu_job.audit.audit import Audit
from gpu_job.audit.queries import AuditRules, Retry, VadQuery

Speech = Callable[[Chunk, VadQuery], Sequence[tuple[float, float]]]
"""A query's window -> where there is speech, in seconds from its start."""

Recognize = Callable[[Chunk], Iterable[Token]]
"""A window -> its tokens, on the upload's clock."""


def finished_audit(
    chunks: Sequence[Chunk],
    first: Recognize,
    *,
    speech: Speech,
    again: Recognize | None = None,
    rules: AuditRules | None = None,
    failed: Iterable[int] = (),
    seed: int | None = None,
    neighbours: Collection[int] = (),
    is_followed: bool = False,
) -> Audit:
    """A finished audit. `first` recognizes the chunks, `again` retries' windows; with a seed, all results are late.

    `neighbours`: first samples of chunks that another audit examines."""
    audit, late, rng = Audit(rules), list[Chunk](), random.Random(seed)
    queries: list[VadQuery] = []
    retries: list[Retry] = []

    def answer_some(least: int) -> None:
        while len(queries) + len(retries) > least:
            if queries:
                query = queries.pop(rng.randrange(len(queries)))
                further = audit.answer(query, speech(query.window, query))
            else:
                retry = retries.pop(rng.randrange(len(retries)))
                further = audit.retranscribed(retry, (again or first)(retry.window))
            retries.extend([further] if further else [])

    def recognize(chunk: Chunk) -> None:
        is_failed = chunk.start in failed
        queries.extend(audit.transcribed(chunk.start, () if is_failed else first(chunk), failed=is_failed))

    for chunk in chunks:
        queries.extend(audit.cut(chunk, is_neighbour=chunk.start in neighbours))
        late.append(chunk)
        while late and (seed is None or len(late) > 4):
            recognize(late.pop(rng.randrange(len(late))))
        answer_some(0 if seed is None else 3)
    queries.extend(audit.end(is_followed=is_followed))
    rng.shuffle(late)
    for chunk in late:
        assert not audit.is_done or neighbours or is_followed
        recognize(chunk)
    answer_some(0)
    assert audit.is_done
    return audit


def stretches_of(samples: Samples, start: int, lengths: Iterable[tuple[int, int]]) -> list[Chunk]:
    """Chunks [begin, end) in samples of a sound that begins at `start`."""
    return [Chunk(start + begin, samples[begin:end]) for begin, end in lengths]


def on_upload_clock(chunk: Chunk, tokens: Iterable[Token]) -> list[Token]:
    """Tokens timed from a chunk's start, on the upload's clock."""
    return [token.later(seconds(chunk.start)) for token in tokens]


def plain_words(tokens: Iterable[Token]) -> list[str]:
    """The words without capitals and punctuation."""
    return [word.text.casefold().strip(".,?!") for word in words_of(tokens)]
