"""Key terms in NeMo's decoder: a boosting tree for each chunk of a batch, through NeMo's per-stream biasing.

NeMo's multi-model holds many trees at once and advances each row of a batch in its own; rows without one have a bonus
of 0 everywhere. Batches without terms keep the decoder they always had: the one here is a copy of it, made with the
first terms, with storage and CUDA graphs of its own.

NeMo's confidence of a step is that of the likeliest token, also where a bonus had another one written. So the tokens of
rows with terms are scored once more, all at once: prediction and joint network over what was written, without bonuses.
"""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from nemo.collections.asr.parts.context_biasing.biasing_multi_model import GPUBiasingMultiModel
from nemo.collections.asr.parts.context_biasing.boosting_graph_batched import BoostingTreeStorage, GPUBoostingTreeModel

from gpu_job.asr.boosting.tree import ROOT, BoostingTree
from gpu_job.asr.nemo.cuda_graphs import TdtDecoder
from gpu_job.asr.onnx.tdt_decoding import CONFIDENCE_EXPONENT

KEPT_TREES = 32
"""In the multi-model, as far as one batch needs no more: each takes two vocabularies of arcs, and NeMo has room for a
million before it allocates and captures anew."""

SCORED_LOGITS = 2**24
"""At once, when tokens are scored once more: 64 MB in fp32."""

NO_TREE = -1
"""NeMo's id for a row without bonuses."""

_log = logging.getLogger(__name__)


class BoostedDecoder:
    """Decodes batches in which some chunks have terms. Belongs to the thread that owns the model."""

    def __init__(self, computer: Any, max_chunks: int, *, on_gpu: bool) -> None:
        """`computer`: NeMo's label-looping computer, which stays as it is."""
        self._computer = copy.copy(computer)
        self._computer.reset_cuda_graphs_state()
        self._vocabulary_size: int = computer._blank_index
        with torch.inference_mode(mode=False):
            self._trees = GPUBiasingMultiModel(
                vocab_size=self._vocabulary_size, reallocation_callback_fn=self._computer.reset_cuda_graphs_state
            )
        self._computer.biasing_multi_model = self._trees
        if on_gpu and not self._trees.compatible_with_cuda_graphs():
            self._computer.disable_cuda_graphs()
        self._decoder = TdtDecoder(self._computer, max_chunks, on_gpu=on_gpu)
        self._numbers: OrderedDict[BoostingTree, int] = OrderedDict()
        """Of the trees that NeMo has, the last used one last."""
        _log.info("decoder for key terms", extra={"fields": {"decoder": self._decoder.mode}})

    def __call__(self, encoded: torch.Tensor, frames: torch.Tensor, trees: Sequence[BoostingTree | None]) -> Any:
        """As `TdtDecoder`; `trees`: of each chunk."""
        numbers = self._numbers_of(trees, encoded.device)
        found = self._decoder(encoded, frames, torch.tensor(numbers, device=encoded.device))
        rows = torch.tensor([row for row, tree in enumerate(trees) if tree is not None], device=encoded.device)
        self._score(found, encoded, rows)
        return found

    def _numbers_of(self, trees: Sequence[BoostingTree | None], device: torch.device) -> list[int]:
        wanted = [tree for tree in dict.fromkeys(trees) if tree is not None]
        with torch.inference_mode(mode=False):
            self._trees.to(device)
            for tree in wanted:
                if tree not in self._numbers:
                    self._numbers[tree] = self._trees.add_model(nemo_tree(tree).to(device))
                self._numbers.move_to_end(tree)
            while len(self._numbers) > max(KEPT_TREES, len(wanted)):
                _, number = self._numbers.popitem(last=False)
                self._trees.remove_model(number)
        return [NO_TREE if tree is None else self._numbers[tree] for tree in trees]

    def _score(self, found: Any, encoded: torch.Tensor, rows: torch.Tensor) -> None:
        """Set the confidence of these rows' tokens to what the model gives them without bonuses."""
        longest = int(found.current_lengths[rows].max())
        if longest == 0:
            return
        logits = len(self._computer.durations) + self._vocabulary_size + 1
        for part in torch.split(rows, max(1, SCORED_LOGITS // (longest * logits))):
            ids = found.transcript[part, :longest]
            # Behind a row's last token there is anything; what is scored there is never read.
            ids = ids.clamp(0, self._vocabulary_size - 1)
            at = found.timestamps[part, :longest].clamp(0, encoded.shape[1] - 1)
            found.step_confidence[part, :longest] = self._confidences(encoded[part], ids, at).to(
                found.step_confidence.dtype
            )

    def _confidences(self, encoded: torch.Tensor, ids: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Encoder output [chunks, frames, width], tokens and their frames [chunks, tokens] -> [chunks, tokens]."""
        decoder, joint, blank = self._computer.decoder, self._computer.joint, self._vocabulary_size
        before = torch.cat([torch.full_like(ids[:, :1], blank), ids[:, :-1]], dim=1)
        predicted, *_ = decoder.predict(before, None, add_sos=False, batch_size=len(ids))
        predicted = joint.project_prednet(predicted)
        projected = joint.project_encoder(encoded)
        heard = projected[torch.arange(len(ids), device=ids.device)[:, None], at]
        pairs = (heard.flatten(0, 1).unsqueeze(1), predicted.flatten(0, 1).unsqueeze(1))
        logits = joint.joint_after_projection(*pairs).squeeze(1).squeeze(1)[:, : blank + 1].float()
        chosen = logits.softmax(dim=-1).gather(1, ids.reshape(-1, 1)).reshape(ids.shape)
        blind = (blank + 1) ** CONFIDENCE_EXPONENT
        confidences: torch.Tensor = (chosen**CONFIDENCE_EXPONENT * blind - 1) / (blind - 1)
        return confidences


def nemo_tree(tree: BoostingTree) -> GPUBoostingTreeModel:
    """The same tree as NeMo keeps it: the root has an arc for every token of the vocabulary."""
    size, states = tree.vocabulary_size, len(tree.depths)
    at_root = int(tree.first_arc[ROOT + 1])
    arcs = size + len(tree.arc_labels) - at_root
    storage = BoostingTreeStorage(
        num_states_max=states,
        # NeMo reads a vocabulary of arcs at once, whatever a state has.
        num_arcs_max=arcs + size + 1,
        vocab_size=size,
        max_order=int(tree.depths.max()) + 1,
        num_states=states,
        num_arcs=arcs,
    )
    root_arcs = np.zeros(size, storage.arcs.dtype)
    root_arcs["ilabel"] = np.arange(size)
    begins = tree.arc_labels[:at_root]
    root_arcs["to"][begins] = tree.arc_targets[:at_root]
    root_arcs["weight"][begins] = tree.arc_bonuses[:at_root]
    storage.arcs[:size] = root_arcs
    rest = storage.arcs[size:arcs]
    counts = np.diff(tree.first_arc)
    rest["from"] = np.repeat(np.arange(states), counts)[at_root:]
    rest["to"] = tree.arc_targets[at_root:]
    rest["ilabel"] = tree.arc_labels[at_root:]
    rest["weight"] = tree.arc_bonuses[at_root:]
    storage.states["arcs_start"] = np.where(counts > 0, tree.first_arc[:-1] - at_root + size, 0)
    storage.states["arcs_end"] = storage.states["arcs_start"] + counts
    storage.states["arcs_start"][ROOT], storage.states["arcs_end"][ROOT] = 0, size
    storage.states["order"] = tree.depths + 1
    storage.states["backoff_to"] = tree.failures
    storage.states["backoff_w"] = 0.0
    storage.states["final"] = 0.0
    return GPUBoostingTreeModel.from_boosting_tree_np(storage)
