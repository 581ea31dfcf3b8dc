"""An audit from beginning to end, with anything that tells speech and anything that hears words."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import Samples, seconds
from gpu_job.audit.audit import Audit
from gpu_job.audit.questions import AuditRules, Retry, VadQuery

Speech = Callable[[Chunk, VadQuery], Sequence[tuple[float, float]]]
"""A question's window -> where somebody speaks, in seconds from its start."""

Recognize = Callable[[Chunk], Iterable[Token]]
"""A window -> what is heard in it, on the upload's clock."""


def settled_audit(
    chunks: Sequence[Chunk],
    first: Recognize,
    *,
    speech: Speech,
    again: Recognize | None = None,
    rules: AuditRules | None = None,
    failed: Iterable[int] = (),
    seed: int | None = None,
) -> Audit:
    """A settled audit. `first` hears the chunks, `again` the windows of holes; with a seed, all answers are late."""
    audit, late, rng = Audit(rules), list[Chunk](), random.Random(seed)
    questions: list[VadQuery] = []
    retries: list[Retry] = []

    def answer_some(least: int) -> None:
        while len(questions) + len(retries) > least:
            if questions:
                question = questions.pop(rng.randrange(len(questions)))
                further = audit.answer(question, speech(question.window, question))
            else:
                retry = retries.pop(rng.randrange(len(retries)))
                further = audit.decoded(retry, (again or first)(retry.window))
            retries.extend([further] if further else [])

    def hear(chunk: Chunk) -> None:
        is_failed = chunk.start in failed
        questions.extend(audit.heard(chunk.start, () if is_failed else first(chunk), failed=is_failed))

    for chunk in chunks:
        questions.extend(audit.cut(chunk))
        late.append(chunk)
        while late and (seed is None or len(late) > 4):
            hear(late.pop(rng.randrange(len(late))))
        answer_some(0 if seed is None else 3)
    questions.extend(audit.end())
    rng.shuffle(late)
    for chunk in late:
        assert not audit.is_settled
        hear(chunk)
    answer_some(0)
    assert audit.is_settled
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
