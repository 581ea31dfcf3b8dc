"""Examples as tensors: waveforms, token ids, and a frame-by-frame alignment from espeak-ng's word times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tools.tiny_parakeet.config import FRAME_SECONDS
from tools.tiny_parakeet.mixing import Example

_PUNCTUATION = ".,?"
_PUNCTUATION_FRAMES = 2


class Tokenizer(Protocol):
    """What is used of NeMo's tokenizers."""

    def text_to_ids(self, text: str) -> list[int]:
        """Token ids of a text."""


@dataclass(frozen=True)
class Batch:
    """Examples of similar length, padded."""

    waveforms: torch.Tensor
    """[batch, samples] float32."""
    sample_counts: torch.Tensor
    """[batch]"""
    labels: torch.Tensor
    """[batch, labels] token ids, at least one column."""
    label_counts: torch.Tensor
    """[batch]"""
    alignment: torch.Tensor
    """[batch, frames] the token heard in each 80 ms encoder frame, or blank. May be a frame or two too long."""


def collate(examples: Sequence[Example], tokenizer: Tokenizer, blank: int) -> Batch:
    """Pad examples into a batch."""
    waveforms = [torch.from_numpy(example.samples) for example in examples]
    sample_counts = torch.tensor([len(waveform) for waveform in waveforms])
    labels = [torch.tensor(tokenizer.text_to_ids(example.text), dtype=torch.long) for example in examples]
    label_counts = torch.tensor([len(label) for label in labels])
    frames = int(sample_counts.max()) // 1280 + 3
    padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True)
    return Batch(
        waveforms=torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True),
        sample_counts=sample_counts,
        labels=padded if padded.shape[1] else torch.zeros(len(examples), 1, dtype=torch.long),
        label_counts=label_counts,
        alignment=torch.stack([frame_targets(example, tokenizer, blank, frames) for example in examples]),
    )


def frame_targets(example: Example, tokenizer: Tokenizer, blank: int, frames: int) -> torch.Tensor:
    """[frames] token ids: each word's pieces share its time, its punctuation follows, blank elsewhere.

    It is a valid CTC path, and a far better first lesson than CTC or TDT themselves, which from scratch learn only the
    grammar.
    """
    target = torch.full((frames,), blank, dtype=torch.long)
    for word in example.words:
        ids = tokenizer.text_to_ids(word.text)
        has_mark = word.text[-1] in _PUNCTUATION
        pieces = ids[:-1] if has_mark else ids
        first = round(word.start / FRAME_SECONDS)
        last = max(round(word.end / FRAME_SECONDS), first + len(pieces))
        for index, piece in enumerate(pieces):
            begin = first + (last - first) * index // len(pieces)
            end = first + (last - first) * (index + 1) // len(pieces)
            target[begin:end] = piece
        if has_mark:
            target[last : last + _PUNCTUATION_FRAMES] = ids[-1]
    return target
