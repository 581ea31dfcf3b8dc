"""Greedy TDT decoding: frame by frame is the same, whatever the batch; confidences are NeMo's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nemo.collections.asr.parts.utils.asr_confidence_utils import get_confidence_measure_bank

from gpu_job.asr.onnx.tdt_decoding import (
    CONFIDENCE_EXPONENT,
    LOOK_AHEAD_FRAMES,
    DecoderState,
    Floats,
    Ints,
    confidence,
    decode,
)

TOKENS, DURATIONS, WIDTH = 7, 5, 4
BLANK = TOKENS


class RandomJoint:
    """A network whose logits depend on the frame and on all tokens so far, through its state."""

    blank = BLANK
    max_symbols = 3

    def __init__(self, seed: int, blank_bias: float, stay_bias: float = 0.0) -> None:
        dice = np.random.default_rng(seed)
        outputs = TOKENS + 1 + DURATIONS
        self.of_frame, self.of_state = (dice.normal(size=(WIDTH, outputs)).astype(np.float32) for _ in range(2))
        self.bias = np.zeros(outputs, np.float32)
        self.bias[BLANK], self.bias[BLANK + 1] = blank_bias, stay_bias
        self.embedding = dice.normal(size=(TOKENS + 1, WIDTH)).astype(np.float32)

    def first_state(self, rows: int) -> DecoderState:
        return DecoderState(np.zeros((1, rows, WIDTH), np.float32), np.zeros((1, rows, WIDTH), np.float32))

    def run(self, frames: Floats, last_tokens: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        hidden = np.tanh(state.hidden[0] + self.embedding[last_tokens])
        logits = frames @ self.of_frame + (hidden @ self.of_state)[:, None] + self.bias
        return logits, DecoderState(hidden[None], state.cell)


def frame_by_frame(joint: RandomJoint, encoded: Floats) -> list[tuple[int, int, int]]:
    """The definition: one frame, one step at a time -> label, frame, duration."""
    found, frame, emitted, last, state = [], 0, 0, BLANK, joint.first_state(1)
    while frame < len(encoded):
        logits, after = joint.run(encoded[None, frame : frame + 1], np.array([last]), state)
        label, duration = int(logits[0, 0, : BLANK + 1].argmax()), int(logits[0, 0, BLANK + 1 :].argmax())
        if label == BLANK:
            frame, emitted = frame + max(1, duration), 0
            continue
        found.append((label, frame, duration))
        last, state = label, after
        frame, emitted = frame + duration, 0 if duration else emitted + 1
        if emitted == joint.max_symbols:
            frame, emitted = frame + 1, 0
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("blank_bias", "stay_bias"), [(0.0, 0.0), (3.0, 0.0), (-2.0, 3.0), (6.0, -3.0)])
def test_a_batch_gives_what_frames_one_by_one_give(seed: int, blank_bias: float, stay_bias: float) -> None:
    joint = RandomJoint(seed, blank_bias, stay_bias)
    dice = np.random.default_rng(seed)
    lengths = np.array([37, 0, 1, LOOK_AHEAD_FRAMES, LOOK_AHEAD_FRAMES + 1, 80])
    encoded = dice.normal(size=(len(lengths), 80, WIDTH)).astype(np.float32)
    found = decode(joint, [encoded[:2], encoded[2:]], [lengths[:2], lengths[2:]])
    for row, length in enumerate(lengths):
        count = found.lengths[row]
        columns = (column[row, :count].tolist() for column in (found.ids, found.starts, found.durations))
        assert list(zip(*columns, strict=True)) == frame_by_frame(joint, encoded[row, :length])


def test_no_chunk_has_no_tokens() -> None:
    found = decode(RandomJoint(0, 0.0), [np.zeros((0, 0, WIDTH), np.float32)], [np.zeros(0, np.int64)])
    assert found.lengths.tolist() == []


def test_confidence_is_nemos_max_prob() -> None:
    probabilities = np.linspace(1 / 1025, 1, 50, dtype=np.float32)
    measure = get_confidence_measure_bank()["max_prob"]
    theirs = measure(torch.from_numpy(probabilities)[:, None].log(), v=1025, t=CONFIDENCE_EXPONENT)
    assert np.allclose(confidence(probabilities, 1025), theirs.numpy(), atol=1e-5)
    assert confidence(np.array([1 / 1025, 1.0], np.float32), 1025).tolist() == pytest.approx([0.0, 1.0], abs=1e-5)
