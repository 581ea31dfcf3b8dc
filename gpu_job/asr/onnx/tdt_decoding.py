"""Greedy decoding of a token-and-duration transducer (TDT, Xu et al. 2023, arXiv 2304.06795) for a batch of chunks.

The exported network joins the prediction network, which is recurrent, and the joint network. Its state changes only
where a token is emitted, so each run looks LOOK_AHEAD_FRAMES encoder frames ahead with one state: there are about as
many runs as tokens in the longest chunk, not as many as frames. The result is that of NeMo's label looping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_job.asr.boosting.tree import ROOT, BoostingTree
from gpu_job.asr.tdt_hypotheses import Hypotheses

LOOK_AHEAD_FRAMES = 6
"""Frames that one run of the joint network looks at; a token comes every 3 to 4 of 80 ms."""

CONFIDENCE_EXPONENT = 0.33
"""NeMo's default `alpha`: a probability p counts as p to this power, with 0 for what a blind guess has."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DecoderState:
    """The prediction network's, after the last token: [layers, chunks, width] each."""

    hidden: Floats
    cell: Floats

    def of(self, rows: Ints) -> DecoderState:
        """Of some chunks."""
        return DecoderState(self.hidden[:, rows], self.cell[:, rows])

    def replace(self, rows: Ints, others: DecoderState, other_rows: Ints) -> None:
        """Take some chunks' state from elsewhere."""
        self.hidden[:, rows] = others.hidden[:, other_rows]
        self.cell[:, rows] = others.cell[:, other_rows]


class Joint(Protocol):
    """Prediction and joint network as one."""

    blank: int
    """The blank's id: behind those of all tokens. In the place of the last token it means that there is none."""
    max_symbols: int
    """Tokens at one frame, after which decoding goes on by a frame."""

    def first_state(self, rows: int) -> DecoderState:
        """Before the first token."""

    def run(self, frames: Floats, last_tokens: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        """Encoder frames [chunks, T, width] and each chunk's last token -> logits [chunks, T, tokens + blank +
        durations], where the n-th duration is n frames, and the state after the last token."""


class _Token(NamedTuple):
    label: int
    start: int
    duration: int
    probability: float


def decode(
    joint: Joint,
    encoded: Sequence[Floats],
    lengths: Sequence[Ints],
    trees: Sequence[BoostingTree | None] = (),
) -> Hypotheses:
    """Groups of chunks, each [chunks, frames, width], of which `lengths` frames count -> the tokens of each chunk.

    The chunks of a group are decoded together. `trees`: of each chunk, which of its tokens to favour; a token's
    confidence is its probability without that.
    """
    found: list[list[_Token]] = []
    for group, frames in zip(encoded, lengths, strict=True):
        found += _tokens(joint, group, frames, trees[len(found) : len(found) + len(frames)])
    return _columns(found, joint.blank + 1)


def _tokens(joint: Joint, encoded: Floats, lengths: Ints, trees: Sequence[BoostingTree | None]) -> list[list[_Token]]:
    boosting = _Boosting(trees) if any(trees) else None
    found: list[list[_Token]] = [[] for _ in lengths]
    frame = np.zeros(len(lengths), np.int64)
    emitted = np.zeros(len(lengths), np.int64)
    """Tokens that began at this frame."""
    last = np.full(len(lengths), joint.blank, np.int64)
    state = joint.first_state(len(lengths))
    padded = np.pad(encoded, ((0, 0), (0, LOOK_AHEAD_FRAMES), (0, 0)))
    ahead = np.arange(LOOK_AHEAD_FRAMES)
    while len(active := np.flatnonzero(frame < lengths)):
        window = padded[active[:, None], frame[active, None] + ahead]
        logits, after = joint.run(window, last[active], state.of(active))
        offsets, jumps, says = _first_tokens(logits, joint.blank, lengths[active] - frame[active])
        frame[active] += offsets
        emitted[active[offsets > 0]] = 0
        numbers = np.flatnonzero(says)
        rows = active[numbers]
        scores = logits[numbers, offsets[numbers], : joint.blank + 1]
        labels, durations = scores.argmax(axis=-1), jumps[numbers]
        if boosting is not None:
            labels = boosting.labels(rows, scores[:, : joint.blank], labels)
        exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
        probabilities = exponents[np.arange(len(rows)), labels] / exponents.sum(axis=-1)
        columns = (rows, labels, frame[rows], durations, probabilities)
        for row, *token in zip(*(column.tolist() for column in columns), strict=True):
            found[row].append(_Token(*token))
        last[rows] = labels
        state.replace(rows, after, numbers)
        frame[rows] += durations
        emitted[rows] = np.where(durations > 0, 0, emitted[rows] + 1)
        stuck = emitted >= joint.max_symbols
        frame[stuck] += 1
        emitted[stuck] = 0
    return found


class _Boosting:
    """Where each chunk is in its tree."""

    def __init__(self, trees: Sequence[BoostingTree | None]) -> None:
        self._trees = trees
        self._states = [ROOT] * len(trees)

    def labels(self, rows: Ints, scores: Floats, labels: Ints) -> Ints:
        """The best tokens of some chunks with their bonuses, which are taken as said. `scores`: without the blank's;
        `labels`: the best without bonuses."""
        labels = labels.copy()
        for number, row in enumerate(rows.tolist()):
            tree = self._trees[row]
            if tree is not None:
                bonuses, targets = tree.bonuses(self._states[row])
                labels[number] = (scores[number] + bonuses).argmax()
                self._states[row] = int(targets[labels[number]])
        return labels


def _first_tokens(logits: Floats, blank: int, frames_left: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Where the blanks from the first frame on lead: by how many frames, to a token of which duration, if to any."""
    is_blank = logits[..., :blank].max(axis=-1) < logits[..., blank]
    jumps = logits[..., blank + 1 :].argmax(axis=-1)
    rows = np.arange(len(logits))
    offset = np.zeros(len(logits), np.int64)
    last = np.minimum(frames_left, logits.shape[1])
    says = np.zeros(len(logits), np.bool_)
    waiting = offset < last
    while waiting.any():
        at = np.minimum(offset, logits.shape[1] - 1)
        blanks = waiting & is_blank[rows, at]
        says |= waiting & ~is_blank[rows, at]
        offset[blanks] += np.maximum(1, jumps[rows, at][blanks])
        waiting = blanks & (offset < last)
    return offset, jumps[rows, np.minimum(offset, logits.shape[1] - 1)], says


def confidence(probabilities: Floats, choices: int) -> Floats:
    """NeMo's `max_prob`: 1 for certainty, 0 for one guess among all `choices`."""
    blind = choices**CONFIDENCE_EXPONENT
    normalized: Floats = (probabilities**CONFIDENCE_EXPONENT * blind - 1) / (blind - 1)
    return normalized


def _columns(found: list[list[_Token]], choices: int) -> Hypotheses:
    lengths = np.array([len(row) for row in found], np.int64)
    table = np.zeros((len(_Token._fields), len(found), int(lengths.max(initial=0))), np.float64)
    for number, row in enumerate(found):
        table[:, number, : len(row)] = np.array(row, np.float64).reshape(-1, len(_Token._fields)).T
    ids, starts, durations = table[:3].astype(np.int64)
    return Hypotheses(ids, starts, durations, confidence(table[3].astype(np.float32), choices), lengths)
