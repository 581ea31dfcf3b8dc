"""Making the tokenizer and the untrained model, and keeping the trained one."""

from pathlib import Path

import sentencepiece
import torch
from nemo.collections.asr.models import ASRModel, EncDecRNNTBPEModel
from omegaconf import OmegaConf, open_dict

from tools.tiny_parakeet.config import VOCABULARY_SIZE, parakeet_config

_WORD_START = "\u2581"
"""SentencePiece's mark in front of a word's first piece."""


def train_tokenizer(folder: Path, sentences: list[str], vocabulary_size: int = VOCABULARY_SIZE) -> None:
    """Write a BPE tokenizer in the three files NeMo expects. Punctuation is kept from merging with words."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.txt"
    text.write_text("\n".join(sentences))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=vocabulary_size,
        model_type="bpe",
        character_coverage=1.0,
        user_defined_symbols=[".", ",", "?"],
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    pieces = [processor.id_to_piece(index) for index in range(1, processor.vocab_size())]
    spelled = [piece[1:] if piece.startswith(_WORD_START) else f"##{piece}" for piece in pieces]
    (folder / "vocab.txt").write_text("\n".join(spelled))


def untrained(tokenizer: Path) -> EncDecRNNTBPEModel:
    """A new model. Its `tdt` loss constructs without a GPU, it only refuses to run, so the file stays Parakeet's."""
    return EncDecRNNTBPEModel(cfg=parakeet_config(tokenizer), trainer=None)


def restored(path: Path) -> EncDecRNNTBPEModel:
    """The model of a .nemo file, on the CPU."""
    model = ASRModel.restore_from(str(path), map_location=torch.device("cpu"))
    if not isinstance(model, EncDecRNNTBPEModel):
        raise TypeError(f"{path} holds a {type(model).__name__}")
    return model


def save(model: EncDecRNNTBPEModel, path: Path) -> None:
    """Write the .nemo file. `transcribe(paths)` reads validation_ds, so it must not be None."""
    dataset = {"manifest_filepath": None, "sample_rate": 16000, "batch_size": 16, "shuffle": False}
    with open_dict(model.cfg):
        model.cfg.validation_ds = OmegaConf.create({**dataset, "use_start_end_token": False})
        model.cfg.train_ds = OmegaConf.create({**dataset, "shuffle": True})
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save_to(str(path))
