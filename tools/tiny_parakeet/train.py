"""Make Tiny Parakeet from nothing: synthesise the corpus, train on the CPU, evaluate, write the model and its card.

python -m tools.tiny_parakeet.train --out parakeet-tdt-tiny.nemo --minutes 40 --seed 0
"""

import argparse
import ctypes
import logging
import math
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numba
import torch
from nemo.collections.asr.models import EncDecRNNTBPEModel
from nemo.utils import logging as nemo_logging
from torch import distributed
from torch.multiprocessing.spawn import spawn

from tools.tiny_parakeet import corpus, evaluate, model
from tools.tiny_parakeet.batches import Batch, collate
from tools.tiny_parakeet.config import DURATIONS, SIGMA, VOCABULARY_SIZE
from tools.tiny_parakeet.languages import LANGUAGES
from tools.tiny_parakeet.mixing import Mixer
from tools.tiny_parakeet.noise import NoiseBank
from tools.tiny_parakeet.tdt_loss import TdtLoss

_log = logging.getLogger("tiny_parakeet.train")

_LEARNING_RATE = 2e-3
_LAST_LEARNING_RATE_SHARE = 0.01
_WARM_UP_STEPS = 200
_WEIGHT_DECAY = 1e-3
_GRADIENT_NORM = 1.0
_SETTLING_SHARE = 0.08
"""In this last part of the training BatchNorm's statistics are averaged over many more steps."""
_SETTLED_MOMENTUM = 0.01
_CHECKPOINT_SECONDS = 300.0
_LOG_STEPS = 50
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3)."""


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum."""

    until: float
    """Share of the time budget at which it ends."""
    shortest: float
    """Seconds of the shortest examples. Lengths are drawn log-uniformly."""
    longest: float
    step_seconds: float
    """Seconds of audio per step."""
    tdt: float
    """Weight of the loss that counts in the end."""
    ctc: float
    alignment: float
    """Weight of the frame-level cross-entropy."""
    augmented: bool
    """Whether SpecAugment is on."""


CURRICULUM: tuple[Stage, ...] = (
    Stage(until=0.20, shortest=1.5, longest=5.0, step_seconds=60.0, tdt=0.0, ctc=0.0, alignment=1.0, augmented=False),
    Stage(until=0.50, shortest=2.0, longest=6.0, step_seconds=60.0, tdt=1.0, ctc=0.5, alignment=1.0, augmented=True),
    Stage(until=1.00, shortest=3.0, longest=28.0, step_seconds=75.0, tdt=1.0, ctc=0.3, alignment=0.3, augmented=True),
)


class Trainer:
    """One training run over a time budget, by a group of processes that average their gradients.

    One thread in each of several processes, not several threads: they meet once per step instead of once per operation,
    which matters sixfold where other programs want the cores too.
    """

    def __init__(
        self, network: EncDecRNNTBPEModel, mixer: Mixer, seed: int, learning_rate: float, warm_up_steps: int
    ) -> None:
        self.network = network
        self._mixer = mixer
        self._rng = random.Random(seed)
        self._learning_rate = learning_rate
        self._warm_up_steps = warm_up_steps
        self._blank = int(network.tokenizer.vocab_size)
        self._tdt = TdtLoss(self._blank, DURATIONS, SIGMA)
        # Only training needs it: it carries CTC and the alignment, and is thrown away.
        self._head = torch.nn.Linear(int(network.cfg.encoder.d_model), self._blank + 1)
        self._spec_augmentation = network.spec_augmentation
        self._parameters = [*network.parameters(), *self._head.parameters()]
        self._optimizer = torch.optim.AdamW(self._parameters, lr=0.0, betas=(0.9, 0.98), weight_decay=_WEIGHT_DECAY)
        self.steps = 0
        self.audio_seconds = 0.0
        """Heard by all processes."""

    def run(self, minutes: float, curriculum: Sequence[Stage], save: Callable[[], None]) -> None:
        """Train until the time is up, saving now and then."""
        begin = saved = time.monotonic()
        progress = 0.0
        settled = False
        while progress < 1:
            stage = next(stage for stage in curriculum if progress < stage.until)
            if progress > 1 - _SETTLING_SHARE and not settled:
                _settle_batch_norm(self.network)
                settled = True
            losses = self._step(stage, progress)
            progress = self._agree((time.monotonic() - begin) / (minutes * 60))
            if self.steps % _LOG_STEPS == 0:
                hours = self.audio_seconds / 3600
                _log.info("step %d, %.1f %%, %.1f h of audio: %s", self.steps, progress * 100, hours, losses)
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self.network.spec_augmentation = self._spec_augmentation
                save()
                saved = time.monotonic()
        self.network.spec_augmentation = self._spec_augmentation

    def _step(self, stage: Stage, progress: float) -> str:
        self.network.train()
        self.network.spec_augmentation = self._spec_augmentation if stage.augmented else None
        rate = self._learning_rate * min(1.0, (self.steps + 1) / self._warm_up_steps) * _cosine(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = self._batch(stage)
        loss, summary = self._loss(stage, batch)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._average_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, _GRADIENT_NORM)
        if torch.isfinite(norm):
            self._optimizer.step()
        self.steps += 1
        self.audio_seconds += float(batch.sample_counts.sum()) / corpus.SAMPLE_RATE * distributed.get_world_size()
        return f"{summary}, rate {rate:.1e}"

    def _average_gradients(self) -> None:
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for gradient, part in zip(
            gradients, flat.split_with_sizes([gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def _agree(self, progress: float) -> float:
        """The first process's clock, so that all change stages and stop at the same step."""
        agreed = torch.tensor([progress], dtype=torch.float64)
        distributed.broadcast(agreed, src=0)
        return float(agreed)

    def _batch(self, stage: Stage) -> Batch:
        """This process's share of a step. All draw the same length, so none waits for the others."""
        seconds = math.exp(self._rng.uniform(math.log(stage.shortest), math.log(stage.longest)))
        share = stage.step_seconds / distributed.get_world_size()
        examples = [self._mixer.example(seconds) for _ in range(max(2, round(share / seconds)))]
        return collate(examples, self.network.tokenizer, self._blank)

    def _loss(self, stage: Stage, batch: Batch) -> tuple[torch.Tensor, str]:
        with torch.no_grad():
            features, feature_counts = self.network.preprocessor(
                input_signal=batch.waveforms, length=batch.sample_counts
            )
        encoded, frame_counts = self.network.forward(processed_signal=features, processed_signal_length=feature_counts)
        labels_in_all = batch.label_counts.sum().clamp(min=1)
        frames = encoded.shape[2]
        log_probabilities = self._head(encoded.transpose(1, 2)).log_softmax(-1)
        valid = torch.arange(frames)[None] < frame_counts[:, None]
        alignment = torch.nn.functional.nll_loss(log_probabilities[valid], batch.alignment[:, :frames][valid])
        loss = stage.alignment * alignment
        summary = f"alignment {alignment.item():.3f}"
        if stage.ctc:
            ctc = torch.nn.functional.ctc_loss(
                log_probabilities.transpose(0, 1),
                batch.labels,
                frame_counts,
                batch.label_counts,
                blank=self._blank,
                reduction="sum",
                zero_infinity=True,
            )
            loss = loss + stage.ctc * ctc / labels_in_all
            summary += f", ctc {ctc.item() / labels_in_all:.3f}"
        if stage.tdt:
            predicted, _, _ = self.network.decoder(targets=batch.labels, target_length=batch.label_counts)
            if int(batch.label_counts.max()) == 0:
                predicted = predicted[:, :, :1]
            logits = self.network.joint(encoder_outputs=encoded, decoder_outputs=predicted)
            tdt = self._tdt(logits, batch.labels, frame_counts, batch.label_counts).sum()
            loss = loss + stage.tdt * tdt / labels_in_all
            summary += f", tdt {tdt.item() / labels_in_all:.3f}"
        return loss, summary


def _keep_freed_memory() -> None:
    """Tell glibc not to hand freed memory back: mapping and zeroing it anew for each step costs a third of the time."""
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _cosine(progress: float) -> float:
    return _LAST_LEARNING_RATE_SHARE + (1 - _LAST_LEARNING_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))


def _settle_batch_norm(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = _SETTLED_MOMENTUM


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the model goes; its card goes beside it")
    parser.add_argument("--minutes", type=float, default=40.0, help="of training; the corpus takes a few more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--pieces", type=int, default=VOCABULARY_SIZE, help="of the tokenizer's vocabulary")
    parser.add_argument("--encoder-of", type=Path, help="begin with this model's encoder, whatever its language")
    parser.add_argument("--work", type=Path, default=Path("build/tiny_parakeet"), help="corpus and tokenizer, 2.5 GB")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", type=Path, help="continue from this model or checkpoint")
    parser.add_argument("--from-stage", type=int, default=0, help="of the curriculum, to resume in")
    parser.add_argument("--batch-share", type=float, default=1.0, help="of the curriculum's audio in a step")
    parser.add_argument("--warm-up-steps", type=int, default=_WARM_UP_STEPS)
    parser.add_argument("--learning-rate", type=float, default=_LEARNING_RATE, help="at its peak")
    return parser.parse_args()


def main() -> None:
    """Train, evaluate and write the card."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    corpus_folder = arguments.work / "corpus"
    corpus.build(corpus_folder, arguments.seed, LANGUAGES[arguments.language], arguments.processes)
    if arguments.resume is None:
        texts = [sentence.text for sentence in _training_bank(arguments.work)]
        model.train_tokenizer(arguments.work / "tokenizer", texts, arguments.pieces)
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        spawn(_train, (arguments, meeting), nprocs=arguments.processes)  # type: ignore[no-untyped-call]
    evaluate.write_card(arguments.out, corpus_folder, evaluate.read_trainings(arguments.out), arguments.language)


def _training_bank(work: Path) -> list[corpus.Sentence]:
    return corpus.load(work / "corpus", "short") + corpus.load(work / "corpus", "train")


def _train(rank: int, arguments: argparse.Namespace, meeting: str) -> None:
    """What one process of a run does. The first one saves the model and what the run was."""
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.ERROR, format="%(asctime)s %(message)s")
    nemo_logging.setLevel(logging.ERROR)
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    _keep_freed_memory()
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=arguments.processes)
    runs_before = evaluate.read_trainings(arguments.resume) if arguments.resume else []
    seed = arguments.seed + 1000 * len(runs_before)  # a resumed run hears other mixtures
    torch.manual_seed(seed)  # equal weights everywhere
    network = model.restored(arguments.resume) if arguments.resume else model.untrained(arguments.work / "tokenizer")
    if arguments.encoder_of is not None and arguments.resume is None:
        network.encoder.load_state_dict(model.restored(arguments.encoder_of).encoder.state_dict())
    bank = _training_bank(arguments.work)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    _log.info("%d sentences, %d parameters", len(bank), parameters)
    mixer = Mixer(bank, NoiseBank(seed), seed + rank)
    trainer = Trainer(network, mixer, seed, arguments.learning_rate, arguments.warm_up_steps)
    torch.manual_seed(seed + rank)
    begin = time.monotonic()

    def save_as(path: Path) -> None:
        if rank == 0:
            model.save(network, path)
            run = evaluate.Training(
                seed=arguments.seed,
                minutes=round((time.monotonic() - begin) / 60, 1),
                steps=trainer.steps,
                audio_hours=round(trainer.audio_seconds / 3600, 1),
                first_stage=arguments.from_stage,
                learning_rate=arguments.learning_rate,
                batch_share=arguments.batch_share,
                encoder_of=arguments.encoder_of.name if arguments.encoder_of else None,
            )
            evaluate.write_trainings(path, [*runs_before, run])

    curriculum = [
        replace(stage, step_seconds=stage.step_seconds * arguments.batch_share)
        for stage in CURRICULUM[arguments.from_stage :]
    ]
    trainer.run(arguments.minutes, curriculum, lambda: save_as(arguments.work / "checkpoint.nemo"))
    save_as(arguments.out)


if __name__ == "__main__":
    main()
